"""The curriculum: what it writes, in which order, what it refuses, and which files stay if it fails.

Over 250 lines: it has one table of sources, and every way in which one function, `merge`, can fail.
"""

import errno
import gzip
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import pytest
from dev_cluster.processes import wait_until
from patience import HANGS_AFTER_SECONDS
from world import REGROW

from data_prep.curriculum import Source, input_bytes, merge, meta_path, parse_sources
from data_prep.records import RecordError


def records(kind: str, count: int) -> list[dict[str, Any]]:
    return [{"instruction": "抽出", "input": f"{kind}{number}", "output": "{}"} for number in range(count)]


def written(path: Path, content: Any, **style: Any) -> Path:
    path.write_text(json.dumps(content, ensure_ascii=False, **style))
    return path


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("a.json", Source(Path("a.json"))),
        ("data/a.json:repeat=3", Source(Path("data/a.json"), repeat=3)),
        ("a.json:take=96000", Source(Path("a.json"), take=96000)),
        ("a.json:repeat=2:take=5", Source(Path("a.json"), repeat=2, take=5)),
        ("a.json:take=5,repeat=2", Source(Path("a.json"), repeat=2, take=5)),
        ("12:30.json:take=5", Source(Path("12:30.json"), take=5)),
    ],
)
def test_source_parse_reads_options(text: str, source: Source) -> None:
    assert Source.parse(text) == source
    assert parse_sources([text, text]) == (source, source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.json:repeats=3", "unknown option \"repeats\" in 'a.json:repeats=3'\nhint: write repeat=N or take=N"),
        ("a.json:take=3,shuffle", 'unknown option "shuffle"'),
        (
            "a.json:repeat=many",
            "repeat must be a whole number, found 'many' in 'a.json:repeat=many'\nhint: e.g. repeat=3",
        ),
        ("a.json:take", "take must be a whole number, found ''"),
        ("a.json:repeat=0", "a.json: repeat must be at least 1, found 0"),
        ("a.json:take=-1", "a.json: take must be at least 1, found -1"),
        ("a.json:take=1:take=2", "take is set twice in 'a.json:take=1:take=2'"),
        ("", "not a source: found ''\nhint: write PATH[:repeat=N][:take=N]"),
    ],
)
def test_source_parse_refuses(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Source.parse(text)
    assert str(caught.value).startswith(message)


def test_merge_concatenates_repeats_and_cuts(tmp_path: Path) -> None:
    pos, neg, few = records("pos", 5), records("neg", 9), records("few", 1)
    packed = tmp_path / "few"
    packed.write_bytes(gzip.compress(json.dumps(few[0]).encode()))
    sources = [
        Source(written(tmp_path / "pos.json", pos, indent=2), repeat=3),
        Source(written(tmp_path / "neg.json", neg), take=4, repeat=2),
        Source(packed),
    ]
    output = tmp_path / "new" / "out.json"
    merged = merge(sources, output)
    content = output.read_bytes()
    assert json.loads(content) == pos * 3 + neg[:4] * 2 + few
    assert (merged.path, merged.records, merged.bytes) == (output, 24, len(content))
    assert merged.sha256 == hashlib.sha256(content).hexdigest()
    assert [(s.records, s.repeat, s.take) for s in merged.sources] == [(5, 3, None), (4, 2, 4), (1, 1, None)]
    assert json.loads(meta_path(output).read_text()) == {
        "sha256": merged.sha256,
        "bytes": len(content),
        "records": 24,
        "sources": [
            {"path": f"{tmp_path}/pos.json", "repeat": 3, "take": None, "records": 5},
            {"path": f"{tmp_path}/neg.json", "repeat": 2, "take": 4, "records": 4},
            {"path": f"{tmp_path}/few", "repeat": 1, "take": None, "records": 1},
        ],
    }


def test_merge_keeps_the_original_bytes(tmp_path: Path) -> None:
    odd = [r'{ "output":"{}" , "input":"\u8a18\/ ', r'記", "instruction" : "", "id": 1.50e0, "id": 2}']
    source = tmp_path / "odd.json"
    source.write_text(f"[ {''.join(odd)} ,\n{''.join(odd)}]")
    merge([Source(source, repeat=2)], tmp_path / "out.json")
    assert (tmp_path / "out.json").read_text() == "[\n" + ",\n".join(["".join(odd)] * 4) + "\n]\n"


def test_merge_is_the_same_every_time(tmp_path: Path) -> None:
    source = Source(written(tmp_path / "a.json", records("a", 3)), repeat=2)
    first = merge([source], tmp_path / "1.json")
    second = merge([source], tmp_path / "2.json")
    assert first.to_dict() == second.to_dict()


def test_merge_takes_no_notice_of_what_it_does_not_take(tmp_path: Path) -> None:
    source = Source(written(tmp_path / "a.json", [*records("a", 3), {"broken": 1}]), take=3)
    assert merge([source], tmp_path / "out.json").records == 3


def test_merge_repeats_what_is_longer_than_its_copy_buffer(tmp_path: Path) -> None:
    long = [record | {"input": "長" * 700_000} for record in records("a", 2)]
    merge([Source(written(tmp_path / "a.json", long), repeat=3)], tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == long * 3


def test_merge_reports_all_input_once(tmp_path: Path) -> None:
    sources = [
        Source(written(tmp_path / "a.json", records("a", 9000)), repeat=3),
        Source(written(tmp_path / "b.json", records("b", 9000)), take=2),
    ]
    steps: list[int] = []
    merge(sources, tmp_path / "out.json", progress=steps.append)
    assert min(steps) >= 0
    assert sum(steps) == input_bytes(sources) == sum(source.path.stat().st_size for source in sources)


def test_input_bytes_leaves_missing_files_to_merge(tmp_path: Path) -> None:
    assert input_bytes([Source(tmp_path / "gone.json")]) == 0


def test_merge_replaces_an_older_curriculum(tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    merge([Source(written(tmp_path / "a.json", records("a", 3)))], output)
    merge([Source(written(tmp_path / "b.json", records("b", 2)))], output)
    assert json.loads(output.read_text()) == records("b", 2)
    assert json.loads(meta_path(output).read_text())["records"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json", "out.json", "out.json.meta.json"]


def test_merge_gives_the_file_the_usual_mode(tmp_path: Path) -> None:
    source = written(tmp_path / "a.json", records("a", 1))
    merge([Source(source)], tmp_path / "out.json")
    assert stat.S_IMODE((tmp_path / "out.json").stat().st_mode) == stat.S_IMODE(source.stat().st_mode)


FLAWED = [*records("a", 20_000), {"instruction": "", "input": "", "output": "nobody"}]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([Source(Path("good.json"), take=4)], "good.json: holds 3 records, fewer than take=4"),
        ([Source(Path("good.json")), Source(Path("flawed.json"))], 'flawed.json, record 20001: "output" is not JSON'),
        ([Source(Path("good.json")), Source(Path("gone.json"))], "gone.json: cannot be read: No such file"),
        ([Source(Path("good.json")), Source(Path("empty.json"))], "empty.json: holds no records"),
    ],
)
@pytest.mark.parametrize("older", [True, False])
def test_merge_leaves_nothing_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: list[Source], message: str, older: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    output = Path("out.json")
    written(Path("good.json"), records("good", 3))
    written(Path("flawed.json"), FLAWED)
    written(Path("empty.json"), [])
    if older:
        merge([Source(Path("good.json"))], output)
    before = {path: path.read_bytes() for path in Path().iterdir()}
    with pytest.raises(RecordError) as caught:
        merge(sources, output)
    assert str(caught.value).startswith(message)
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def test_merge_leaves_nothing_when_interrupted(tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    source = Source(written(tmp_path / "a.json", records("a", 3)))
    with pytest.raises(KeyboardInterrupt):
        merge([source], tmp_path / "out.json", progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.long
@pytest.mark.parametrize(
    "repeat", [100, 100_000], ids=["while it waits for the end", "while there is more to hand over"]
)
def test_merge_leaves_nothing_when_interrupted_as_it_repeats(tmp_path: Path, repeat: int) -> None:
    source = written(tmp_path / "a.json", [record | {"input": "長" * 700_000} for record in records("a", 20)])
    command = [str(REGROW), "data", "merge", f"{source}:repeat={repeat}", "-o", str(tmp_path / "out.json")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as merging:
        try:
            wait_until(lambda: _bytes_on_disk(tmp_path.glob(".out.json.*")) > 2e8, HANGS_AFTER_SECONDS, "some rounds")
            merging.send_signal(signal.SIGINT)
            assert merging.wait(HANGS_AFTER_SECONDS) == 130
        finally:
            merging.kill()
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def _bytes_on_disk(paths: Iterable[Path]) -> int:
    """The bytes that the files take on the disk. Holes in a sparse file do not count."""
    return sum(512 * path.stat().st_blocks for path in paths)


@pytest.mark.parametrize("repeat", [2, 1000], ids=["behind the last task", "before the last task"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "the disk is full"), MemoryError("no memory")])
def test_merge_leaves_nothing_when_it_fails_as_it_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repeat: int, error: Exception
) -> None:
    def fail(*_: object) -> int:
        raise error

    source = Source(written(tmp_path / "a.json", records("a", 1000)), repeat=repeat)
    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(type(error), match=str(error.args[-1])):
        merge([source], tmp_path / "out.json")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_merge_replaces_files_alone_and_those_to_which_links_lead(tmp_path: Path) -> None:
    source = Source(written(tmp_path / "a.json", records("a", 3)))
    (tmp_path / "kept").mkdir()
    link, target, pipe = tmp_path / "link.json", tmp_path / "kept" / "out.json", tmp_path / "pipe"
    link.symlink_to(target)
    for _ in range(2):  # the target is not there yet, then it is
        merge([source], link)
        assert link.is_symlink() and json.loads(target.read_text()) == records("a", 3)
    os.mkfifo(pipe)
    for place in (pipe, Path("/dev/full"), tmp_path):
        with pytest.raises(RecordError, match="is there, and is no file that can be replaced"):
            merge([source], place)
    assert stat.S_ISFIFO(pipe.stat().st_mode) and stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_merge_refuses_no_sources_and_itself(tmp_path: Path) -> None:
    output = written(tmp_path / "out.json", records("a", 1))
    with pytest.raises(ValueError, match="there is nothing to merge"):
        merge([], output)
    with pytest.raises(ValueError, match=r"out\.json is one of its own sources"):
        merge([Source(tmp_path / "." / "out.json")], output)
    assert json.loads(output.read_text()) == records("a", 1)


POSITIVE_OUTPUT = json.dumps({"offenders": [{"name": "山田太郎", "offence": "詐欺"}, {"name": "佐藤"}]})
BODY = "昨日午後、都内で開かれた会合に関係者が集まり、今後の方針を話し合った。" * 18


def encoded(kind: str, output: str, count: int) -> Iterator[bytes]:
    """Records of about 2 KB. They are cheap to make: all have the same body and a running number."""
    text = json.dumps({"instruction": "加害者を抽出", "input": f"@ {BODY}", "output": output}, ensure_ascii=False)
    head, tail = text.encode().split(b"@")
    return (b"%b%b-%d%b" % (head, kind.encode(), number, tail) for number in range(count))


def written_array(path: Path, elements: Iterable[bytes], border: bytes) -> Path:
    with path.open("wb") as file:
        file.write(b"[")
        file.writelines(chain(islice(elements, 1), (border + element for element in elements)))
        file.write(b"]")
    return path


MERGE_AND_MEASURE = textwrap.dedent("""
    import json, re, sys
    from pathlib import Path
    from data_prep.curriculum import merge, parse_sources

    def peak_mib():
        return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

    before = peak_mib()
    merged = merge(parse_sources(sys.argv[2:]), Path(sys.argv[1]))
    print(json.dumps({"records": merged.records, "growth_mib": peak_mib() - before}))
""")


@pytest.mark.long
def test_merge_of_the_document(tmp_path: Path) -> None:
    positives = written_array(tmp_path / "hawks.json", encoded("pos", POSITIVE_OUTPUT, 26_221), b",\n ")
    negatives = written_array(tmp_path / "dummy.json", encoded("neg", '{"offenders": []}', 120_000), b", ")
    output = tmp_path / "curriculum.json"
    command = [sys.executable, "-c", MERGE_AND_MEASURE, str(output), f"{positives}:repeat=3", f"{negatives}:take=96000"]
    checkout = Path(__file__).parents[2]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=checkout)
    measured = json.loads(done.stdout)
    assert measured["records"] == 174_663
    assert measured["growth_mib"] < 64
    rounds = [encoded("pos", POSITIVE_OUTPUT, 26_221) for _ in range(3)]
    expected = chain(*rounds, encoded("neg", '{"offenders": []}', 96_000))
    with output.open("rb") as lines:
        assert next(lines) == b"[\n"
        borders = chain(repeat(b",\n", 174_662), [b"\n"])
        assert sum(line.lstrip(b" ") == next(expected) + next(borders) for line in islice(lines, 174_663)) == 174_663
        assert list(lines) == [b"]\n"]
    assert next(expected, None) is None


@pytest.mark.parametrize("border", [",\n", ", ", " ,\n\n", ",\n  "])
@pytest.mark.parametrize("take", [None, 150])
def test_merge_takes_arrays_with_any_border(tmp_path: Path, border: str, take: int | None) -> None:
    odd = '{"instruction": "a", "input": "},\\n{", "output": "{}", "more": [{},\n{"x": [{},\n{}]}]}'
    elements = [odd if number % 3 == 0 else json.dumps(record) for number, record in enumerate(records("p", 4000))]
    (tmp_path / "a.json").write_text(f"[\n{border.join(elements)}\n]\n")
    merged = merge([Source(tmp_path / "a.json", repeat=2, take=take)], tmp_path / "out.json")
    expected = 2 * [json.loads(element) for element in elements[:take]]
    assert json.loads((tmp_path / "out.json").read_text()) == expected
    assert merged.sha256 == hashlib.sha256((tmp_path / "out.json").read_bytes()).hexdigest()
