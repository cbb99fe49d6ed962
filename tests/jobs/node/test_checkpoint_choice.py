"""The train stage chooses the newest complete checkpoint, renames torn ones, and never trains a finished run again."""

from pathlib import Path
from typing import Any

import pytest
from entries import named

from callbacks.shared.manifest import write_manifest
from jobs.node import train as chosen
from jobs.node.train import newest_valid_checkpoint, train


def saved(here: Any, step: int, *, is_whole: bool = True) -> Path:
    folder: Path = here.attempt.spec.paths.checkpoints / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    if is_whole:
        write_manifest(folder, step=step, world_size=1)
    return folder


def test_newest_whole_checkpoint_is_taken_and_torn_ones_above_it_are_renamed(here: Any) -> None:
    whole = saved(here, 8)
    saved(here, 4)
    saved(here, 12, is_whole=False)
    (saved(here, 16) / "adapter_model.safetensors").write_bytes(b"cut")
    assert newest_valid_checkpoint(here.attempt, here.attempt.spec) == whole
    torn = named(here.entries, "checkpoint_torn")
    assert [(entry.checkpoint, entry.renamed) for entry in torn] == [
        ("checkpoint-16", "torn-16-train-2-0"),
        ("checkpoint-12", "torn-12-train-2-0"),
    ]
    assert "expected 7" in torn[0].reason and "no manifest" in torn[1].reason
    there = {path.name for path in here.attempt.spec.paths.checkpoints.iterdir()}
    assert there == {"checkpoint-4", "checkpoint-8", "torn-12-train-2-0", "torn-16-train-2-0"}


def test_checkpoint_that_this_node_does_not_list_yet_is_known_by_the_journal(
    here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shared file system may show an old list of a folder for some seconds, while the new checkpoint can already be opened."""
    older, newest = saved(here, 4), saved(here, 8)
    monkeypatch.setattr(chosen, "checkpoints", lambda output_dir: [older])
    here.says("saved", "train-1-0-rank0", step=4, checkpoint="checkpoint-4")
    here.says("saved", "train-1-0-rank0", step=8, checkpoint="checkpoint-8")
    here.says("saved", "train-1-0-rank0", step=6, checkpoint="checkpoint-6")  # removed later
    assert newest_valid_checkpoint(here.attempt, here.attempt.spec) == newest


def test_without_a_whole_checkpoint_training_begins_at_the_base_model(here: Any) -> None:
    assert newest_valid_checkpoint(here.attempt, here.attempt.spec) is None
    saved(here, 4, is_whole=False)
    assert newest_valid_checkpoint(here.attempt, here.attempt.spec) is None


def test_finished_training_starts_no_rank(here: Any) -> None:
    saved(here, 20)
    here.says("finished", "train-2-0-rank0", step=20)
    train(here.attempt)
    assert named(here.entries, "ranks_started") == []
