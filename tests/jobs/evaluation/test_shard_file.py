"""A shard's answers on disk: sharding, resuming, repair, and a merge that reports every fault."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from callbacks.shared.predictions import Generated
from jobs.evaluation.parts import shard_of
from jobs.evaluation.shard_file import MergeError, ShardFile, merge

PROMPTS = [f"prompt {number}" for number in range(10)]
BATCHES = [[7, 2, 9], [4, 1], [0, 3]]
Batches = Sequence[Sequence[int]]


def answers(batch: Sequence[int]) -> list[Generated]:
    return [Generated(f"answer {index}\u2028\n", 3, False) for index in batch]


def written(path: Path, batches: Batches = BATCHES, plan: Batches | None = None) -> ShardFile:
    """A shard file that has these batches, the first ones of the plan."""
    file = ShardFile(path)
    with file.resumed(plan or batches, PROMPTS) as (found, writer):
        for batch in batches[len(found) :]:
            writer.append(batch, answers(batch))
    return file


def found_in(file: ShardFile, batches: Batches = BATCHES, prompts: Sequence[str] = PROMPTS) -> list[list[int]]:
    """The record indices of each batch that an attempt finds in the file."""
    with file.resumed(batches, prompts) as (found, _):
        return [[line["record"] for line in batch] for batch in found]


def test_shards_hold_every_record_once_and_are_balanced() -> None:
    rng = random.Random(1)
    for count in (1, 2, 7, 40):
        lengths = [rng.randint(1, 500) for _ in range(33)]
        shards = [shard_of(lengths, number, count) for number in range(count)]
        assert sorted(index for shard in shards for index in shard) == list(range(33))
        sums = [sum(lengths[index] for index in shard) for shard in shards]
        assert max(sums) - min(sums) <= max(lengths)


def test_an_attempt_finds_the_whole_batches(tmp_path: Path) -> None:
    assert found_in(written(tmp_path / "shard.jsonl", BATCHES[:2])) == BATCHES[:2]
    assert found_in(ShardFile(tmp_path / "none.jsonl")) == []


@pytest.mark.long
def test_what_a_kill_leaves_at_any_byte_is_repaired_to_whole_batches(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.jsonl").path.read_bytes()
    lines = whole.splitlines(keepends=True)
    ends = [sum(map(len, lines[:count])) for count in (0, 3, 5, 7)]
    for cut in range(len(whole) + 1):
        file = ShardFile(tmp_path / "cut.jsonl")
        file.path.write_bytes(whole[:cut])
        found_in(file)
        assert file.path.read_bytes() == whole[: max(end for end in ends if end <= cut)]
        assert written(file.path).path.read_bytes() == whole


def test_zeros_that_a_dead_node_leaves_are_cut_off(tmp_path: Path) -> None:
    file = written(tmp_path / "shard.jsonl", BATCHES[:1])
    content = file.path.read_bytes()
    file.path.write_bytes(content + b"\0" * 50 + b"\n")
    assert found_in(file) == BATCHES[:1]
    assert file.path.read_bytes() == content


def test_answers_to_other_prompts_are_not_gone_on_with(tmp_path: Path) -> None:
    file = written(tmp_path / "shard.jsonl", BATCHES[:1])
    content = file.path.read_bytes()
    for batches, prompts in ((BATCHES, ["changed"] * 10), ([[7, 9, 2]], PROMPTS), ([[7, 2]], PROMPTS)):
        with pytest.raises(MergeError, match="holds answers of another evaluation"):
            found_in(file, batches, prompts)
        assert file.path.read_bytes() == content


def test_what_an_attempt_writes_that_was_believed_dead_goes_nowhere(tmp_path: Path) -> None:
    file = ShardFile(tmp_path / "shard.jsonl")
    with file.resumed(BATCHES, PROMPTS) as (_, stale):
        stale.append(BATCHES[0], answers(BATCHES[0]))
        with file.resumed(BATCHES, PROMPTS) as (found, writer):
            assert len(found) == 1
            stale.append(BATCHES[1], answers(BATCHES[1]))
            writer.append(BATCHES[1], answers(BATCHES[1]))
            stale.append(BATCHES[2], answers(BATCHES[2]))
            with pytest.raises(MergeError, match="another attempt has taken over"):
                file.finish(BATCHES, PROMPTS, {})  # the stale attempt believes that it has finished
            assert not file.is_whole()
            writer.append(BATCHES[2], answers(BATCHES[2]))
    file.finish(BATCHES, PROMPTS, {})
    assert [line["record"] for line in file.rows()] == [7, 2, 9, 4, 1, 0, 3]


A, B = [[7, 2, 9], [4, 1]], [[0, 3], [5, 6, 8]]


def finished(path: Path, batches: Batches, prompts: Sequence[str] = PROMPTS) -> ShardFile:
    file = ShardFile(path)
    with file.resumed(batches, prompts) as (_, writer):
        for batch in batches:
            writer.append(batch, answers(batch))
    file.finish(batches, prompts, {"sampling": "greedy"})
    return file


def two_shards(folder: Path, a: Batches = A, b: Batches = B, prompts: Sequence[str] = PROMPTS) -> list[ShardFile]:
    return [finished(folder / "a.jsonl", a, prompts), finished(folder / "b.jsonl", b, prompts)]


def test_merge_puts_the_answers_into_the_records_order(tmp_path: Path) -> None:
    empty = finished(tmp_path / "empty.jsonl", [])
    lines = merge([*two_shards(tmp_path), empty], PROMPTS)
    assert [(line["record"], line["generated"]) for line in lines] == [
        (number, f"answer {number}\u2028\n") for number in range(10)
    ]


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([*A, [5]], B, "records 5 occur twice"),
        (A, [], "records 0, 3, 5, 6, 8 are missing"),
        (A, [*B, [7, 2]], "records 2, 7 occur twice"),
        ([*A, [12]], B, "records 12 do not exist"),
    ],
)
def test_merge_refuses_shards_that_are_not_the_records(tmp_path: Path, a: Batches, b: Batches, message: str) -> None:
    shards = two_shards(tmp_path, a, b, [*PROMPTS, "more", "more", "more"])
    with pytest.raises(MergeError, match=message):
        merge(shards, PROMPTS)


def test_merge_refuses_shards_that_are_not_finished_or_were_changed(tmp_path: Path) -> None:
    a, b = two_shards(tmp_path)
    a.path.write_bytes(a.path.read_bytes()[:-1])
    with pytest.raises(MergeError, match="has changed after it was finished"):
        merge([a, b], PROMPTS)
    a.marker.unlink()
    with pytest.raises(MergeError, match=r"a.jsonl is not finished"):
        merge([a, b], PROMPTS)


def test_merge_knows_records_that_have_changed(tmp_path: Path) -> None:
    changed = [*PROMPTS[:3], "another one", *PROMPTS[4:]]
    with pytest.raises(MergeError, match="records 3 have other prompts now"):
        merge(two_shards(tmp_path), changed)


def test_marker_is_written_last_and_says_what_was_asked(tmp_path: Path) -> None:
    assert not written(tmp_path / "b.jsonl").is_whole()
    file = finished(tmp_path / "a.jsonl", BATCHES)
    assert file.is_whole()
    facts = json.loads(file.marker.read_bytes())
    assert (facts["records"], facts["settings"]) == (7, {"sampling": "greedy"})
