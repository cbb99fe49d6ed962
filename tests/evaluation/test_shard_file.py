"""A shard's answers on disk: sharding, resuming, repair, and a merge that hides nothing."""

import json
import random
from pathlib import Path

import pytest

from callbacks.predictions import Generated
from jobs.evaluation.parts import shard_of
from jobs.evaluation.shard_file import MergeError, ShardFile, merge

PROMPTS = [f"prompt {number}" for number in range(10)]
BATCHES = [[7, 2, 9], [4, 1], [0, 3]]


def answers(batch: list[int]) -> list[Generated]:
    return [Generated(f"answer {index}\u2028\n", 3, False) for index in batch]


def written(path: Path, batches: list[list[int]] = BATCHES) -> ShardFile:
    file = ShardFile(path)
    for batch in batches:
        file.append(batch, PROMPTS, answers(batch))
    return file


def test_shards_hold_every_record_once_and_are_balanced() -> None:
    rng = random.Random(1)
    for count in (1, 2, 7, 40):
        lengths = [rng.randint(1, 500) for _ in range(33)]
        shards = [shard_of(lengths, number, count) for number in range(count)]
        assert sorted(index for shard in shards for index in shard) == list(range(33))
        sums = [sum(lengths[index] for index in shard) for shard in shards]
        assert max(sums) - min(sums) <= max(lengths)


def test_resume_finds_the_whole_batches(tmp_path: Path) -> None:
    file = written(tmp_path / "shard.jsonl", BATCHES[:2])
    found = file.resume(BATCHES, PROMPTS)
    assert [[line["record"] for line in batch] for batch in found] == BATCHES[:2]
    assert ShardFile(tmp_path / "none.jsonl").resume(BATCHES, PROMPTS) == []


def test_what_a_kill_leaves_at_any_byte_is_repaired_to_whole_batches(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.jsonl").path.read_bytes()
    ends = [0]
    for batch in BATCHES:
        ends.append(whole.index(b"\n", ends[-1] + 1) + 1)
        for _ in batch[1:]:
            ends[-1] = whole.index(b"\n", ends[-1]) + 1
    for cut in range(len(whole) + 1):
        file = ShardFile(tmp_path / "cut.jsonl")
        file.path.write_bytes(whole[:cut])
        found = file.resume(BATCHES, PROMPTS)
        assert file.path.read_bytes() == whole[: max(end for end in ends if end <= cut)]
        for batch in BATCHES[len(found) :]:
            file.append(batch, PROMPTS, answers(batch))
        assert file.path.read_bytes() == whole


def test_zeros_that_a_dead_node_leaves_are_cut_off(tmp_path: Path) -> None:
    file = written(tmp_path / "shard.jsonl", BATCHES[:1])
    content = file.path.read_bytes()
    file.path.write_bytes(content + b"\0" * 50 + b"\n")
    assert len(file.resume(BATCHES, PROMPTS)) == 1
    assert file.path.read_bytes() == content


def test_answers_to_other_prompts_are_not_gone_on_with(tmp_path: Path) -> None:
    file = written(tmp_path / "shard.jsonl", BATCHES[:1])
    content = file.path.read_bytes()
    for batches, prompts in ((BATCHES, ["changed"] * 10), ([[7, 9, 2]], PROMPTS), ([[7, 2]], PROMPTS)):
        with pytest.raises(MergeError, match="other answers than this evaluation's"):
            file.resume(batches, prompts)
        assert file.path.read_bytes() == content


def two_shards(folder: Path) -> list[ShardFile]:
    files = [written(folder / "a.jsonl", [[7, 2, 9], [4, 1]]), written(folder / "b.jsonl", [[0, 3], [5, 6, 8]])]
    for file in files:
        file.finish(5, {})
    return files


def test_merge_puts_the_answers_into_the_records_order(tmp_path: Path) -> None:
    assert [line["record"] for line in merge(two_shards(tmp_path), PROMPTS)] == list(range(10))
    empty = ShardFile(tmp_path / "empty.jsonl")
    empty.finish(0, {})
    assert empty.rows() == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a, b: a.marker.unlink(), "a.jsonl is not finished"),
        (lambda a, b: a.path.write_bytes(a.path.read_bytes()[:-1]), "was changed after it was finished"),
        (lambda a, b: (a.append([5], PROMPTS, answers([5])), a.finish(6, {})), "records 5 are there twice"),
        (lambda a, b: (b.path.unlink(), b.finish(0, {})), "records 0, 3, 5, 6, 8 are missing"),
        (lambda a, b: (b.append([5, 6, 0], PROMPTS, answers([5, 6, 0])), b.finish(8, {})), "records 0, 5, 6 are there twice"),
        (lambda a, b: (a.append([12], [*PROMPTS] * 2, answers([12])), a.finish(6, {})), "records 12 do not exist"),
    ],
)  # fmt: skip
def test_merge_fails_loudly(tmp_path: Path, spoil: object, message: str) -> None:
    a, b = two_shards(tmp_path)
    spoil(a, b)  # type: ignore[operator]
    with pytest.raises(MergeError, match=message):
        merge([a, b], PROMPTS)


def test_merge_knows_records_that_have_changed(tmp_path: Path) -> None:
    changed = [*PROMPTS[:3], "another one", *PROMPTS[4:]]
    with pytest.raises(MergeError, match="records 3 have other prompts now"):
        merge(two_shards(tmp_path), changed)


def test_marker_says_what_was_asked(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl")
    assert not file.is_whole()
    file.finish(7, {"sampling": "greedy"})
    assert file.is_whole()
    facts = json.loads(file.marker.read_bytes())
    assert (facts["records"], facts["settings"]) == (7, {"sampling": "greedy"})
