"""`make bench-data`: the migration document's merge by regrow, by other tools and as a plain copy; then tokenising by Axolotl.

Every tool checks the three fields of each record and writes the same records as one JSON array. regrow also decodes each
`output`, hashes what it writes, and returns only when the file is on disk.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from data_sources import DOCUMENT, REPEAT, Sources, generated
from dev_cluster.ownership import exit_on_signals
from measure import Results, Way, machine, median_seconds, peak_mib, print_table, take_turns
from peers import python_of, version_in

from callbacks.shared.journal import JOURNAL_ENV
from data_prep.curriculum import Source, merge
from jobs.node.commands import preprocess_command
from jobs.spec.paths import REPO_ROOT, child_environment
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import write_run

LEAST_TIMES_DATASETS, MOST_TIMES_CAT, MOST_GROWTH = 10.0, 4.0, 1.3
TOKENISED = 20_000
SCRIPTS = Path(__file__).parent / "data_peers"
OURS, QUARTER, START_UP = "regrow", "regrow, a quarter of it", "regrow, one record"
ONE_CORE, ALL_CORES, FEW_RECORDS = "one core", "all cores", "one core, 100 records"
CHECKED = "all cores, every record's tokens checked"
DATASETS, CAT, SYNCED_CAT = "HF datasets", "cat", "cat, then sync"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=DOCUMENT, help="that the merge writes")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--tokenised", type=int, default=TOKENISED, help="records; 0: the merge alone")
    parser.add_argument("--folder", type=Path, help="where to write, 2 GB; default: the temporary folder")
    options = parser.parse_args()
    exit_on_signals()  # a signal then also removes the temporary folder
    with tempfile.TemporaryDirectory(prefix="regrow-bench-", dir=options.folder) as name:
        sources = generated(Path(name), options.records / DOCUMENT)
        merged = take_turns(merges(sources), options.repeats, ContentCheck(sources))
        print_table(f"Merge: {sources.described}", merged, (OURS, CAT))
        print(f"{machine()}\n{versions()}\n")
        if options.tokenised:
            count = min(options.tokenised, sources.records)
            ways = preprocessings(sources, count)
            tokenised = take_turns(ways, options.repeats)
            print_table(f"axolotl preprocess: {count:,} records", tokenised, (ONE_CORE,))
            print(beyond_start_up(tokenised))
            print(f"axolotl {version('axolotl')}, datasets {version('datasets')}, torch {version('torch')}\n")
    missed = missed_goals(merged)
    print(f"goals missed: {'; '.join(missed)}" if missed else "all goals reached")
    return int(bool(missed))


def merges(sources: Sources) -> list[Way]:
    """The merge by each tool, regrow's merge of fewer records, and the floor: copies."""
    floor = [*[str(sources.positive_file)] * REPEAT, str(sources.taken_file)]
    copied = sources.folder / "ways" / "cp"
    return [
        our_merge(OURS, sources, sources.positives, sources.take),
        *(peer_merge(name, peer, sources) for name, peer in
          ((DATASETS, "datasets"), ("pandas", "pandas"), ("polars", "polars"), ("standard library's json", "json"))),
        Way(CAT, ["cat", *floor], sources.folder / "ways" / CAT),
        Way("cp", ["cp", str(sources.expected_file), str(copied / "out.json")], copied),
        Way(SYNCED_CAT, ["sh", "-c", 'cat "$@" && sync /dev/stdout', "sh", *floor], sources.folder / "ways" / "synced"),
        our_merge(QUARTER, sources, sources.positives // 4, sources.take // 4),
        our_merge(START_UP, sources, 1, None),
    ]  # fmt: skip


def our_merge(name: str, sources: Sources, positives: int, take: int | None) -> Way:
    """Merge as a user types it: the first `positives` records three times, and the first `take` negatives; None: no negatives."""
    folder = sources.folder / "ways" / name
    taken = [f"{sources.positive_file}:repeat={REPEAT}:take={positives}"]
    taken += [f"{sources.negative_file}:take={take}"] if take else []
    program = Path(sys.executable).with_name("regrow")
    return Way(name, [str(program), "data", "merge", *taken, "-o", str(folder / "out.json")], folder)


def peer_merge(name: str, peer: str, sources: Sources) -> Way:
    """The merge by the peer's script. HF datasets gets an empty cache."""
    folder = sources.folder / "ways" / name
    python = sys.executable if peer == "json" else str(python_of(peer))
    numbers = [str(sources.positive_file), str(REPEAT), str(sources.negative_file), str(sources.take)]
    command = [python, str(SCRIPTS / f"merge_{peer}.py"), *numbers, str(folder / "out.json")]
    return Way(name, command, folder, {"HF_DATASETS_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"})


class ContentCheck:
    """Rejects a tool whose output, as the standard library reads it, does not hold the expected records."""

    def __init__(self, sources: Sources) -> None:
        self._expected = content(sources.expected_file)

    def __call__(self, way: Way) -> None:
        output = way.folder / "out.json"
        if way.name not in (QUARTER, START_UP) and output.exists() and content(output) != self._expected:
            raise RuntimeError(f"{way.name} wrote other records: {content(output)}, expected {self._expected}")


def content(path: Path) -> str:
    """Number and digest of the records of a file. A separate process computes them, because it needs much memory."""
    command = [sys.executable, str(SCRIPTS / "content.py"), str(path)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def versions() -> str:
    """The versions of everything that was measured."""
    ours = {"regrow": version("regrow"), "Python": platform.python_version()}
    ours["msgspec"] = version("msgspec")
    theirs = {name: version_in(name, name) for name in ("datasets", "pandas", "polars")}
    coreutils = subprocess.run(["cat", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.split("\n")[
        0
    ]
    return ", ".join([*(f"{name} {number}" for name, number in (ours | theirs).items()), coreutils])


def preprocessings(sources: Sources, count: int) -> list[Way]:
    """Tokenising as in the prepare stage: without and with the check of every record's tokens, and with very few records."""
    cores = len(os.sched_getaffinity(0))
    train, few = sources.folder / "tokenised.json", sources.folder / "few.json"
    merge([Source(sources.expected_file, take=count)], train)
    merge([Source(sources.expected_file, take=100)], few)
    model = sources.folder / "model"
    command = [sys.executable, "-m", "data_prep.tiny_model", str(model), "1", str(few)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=child_environment({}))
    return [
        preprocessing(ONE_CORE, model, train, few, 1),
        preprocessing(ALL_CORES, model, train, few, cores),
        preprocessing(CHECKED, model, train, few, cores, is_checked=True),
        preprocessing(FEW_RECORDS, model, few, few, 1),
    ]


def preprocessing(
    name: str, model: Path, train: Path, validation: Path, cores: int, *, is_checked: bool = False
) -> Way:
    """The prepare stage's own process on tiny_cpu.yml, with an empty cache. The check needs a journal to write to."""
    written = model.parent / "ways" / f"preprocess-{train.stem}-{cores}-{is_checked}"
    settings = {
        "runs_root": model.parent / "runs",
        "base_model": model,
        "dataset_prepared_path": written / "tokens",
        "dataset_num_proc": "null",
        "datasets.0.path": train,
        "test_datasets.0.path": validation,
        "regrow.prepare.sources": [],
        "regrow.prepare.validation": [],
        "sequence_len": 16_384,
    }
    texts = [f"{key}={value}" for key, value in settings.items()]
    spec = load_run_spec(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml", "local", texts, written.name)
    write_run(spec)
    command = preprocess_command(spec, sys.executable, str(spec.paths.journal / "prepare"), cores)
    environment = command.environment | {"HF_DATASETS_CACHE": str(written / "cache")}
    if not is_checked:
        del environment[JOURNAL_ENV]
    return Way(name, command.arguments, written, child_environment(environment))


def beyond_start_up(tokenised: Results) -> str:
    """The times without the start-up that every process needs: its imports, its model's config, a hundred records."""
    one, all_cores = (
        median_seconds(tokenised, name) - median_seconds(tokenised, FEW_RECORDS) for name in (ONE_CORE, ALL_CORES)
    )
    return f"beyond the start-up: {one:.1f} s, on all cores {all_cores:.1f} s, {one / all_cores:.1f} times as fast"


def missed_goals(merged: Results) -> list[str]:
    """The promises about the merge that do not hold."""
    ours, cat, synced = (median_seconds(merged, name) for name in (OURS, CAT, SYNCED_CAT))
    faster = median_seconds(merged, DATASETS) / ours
    growth = peak_mib(merged, OURS) / peak_mib(merged, QUARTER)
    missed = []
    if faster < LEAST_TIMES_DATASETS:
        missed.append(f"{faster:.1f} times as fast as HF datasets, promised {LEAST_TIMES_DATASETS:g}")
    if ours > MOST_TIMES_CAT * cat:
        missed.append(f"{ours / cat:.1f} times cat, promised {MOST_TIMES_CAT:g} (with sync: {ours / synced:.1f})")
    if growth > MOST_GROWTH:
        missed.append(f"{growth:.2f} times the memory for four times the records, promised {MOST_GROWTH:g}")
    return missed


if __name__ == "__main__":
    sys.exit(main())
