"""A checkpoint is whole exactly when its manifest says so."""

import os
from pathlib import Path

import pytest

from callbacks.shared.manifest import (
    MANIFEST,
    Owed,
    checkpoints,
    owed_at,
    superfluous,
    torn_reason,
    write_atomically,
    write_manifest,
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint-7"
    (folder / "global_step7").mkdir(parents=True)
    (folder / "adapter.safetensors").write_bytes(b"12345")
    (folder / "global_step7" / "optimizer.pt").write_bytes(b"678")
    write_manifest(folder, step=7, world_size=2)
    return folder


def test_whole_checkpoint_has_no_torn_reason(checkpoint: Path) -> None:
    assert torn_reason(checkpoint) == ""


def test_checkpoint_without_manifest_is_torn(checkpoint: Path) -> None:
    (checkpoint / MANIFEST).unlink()
    assert "no manifest" in torn_reason(checkpoint)


def test_checkpoint_with_a_missing_file_is_torn(checkpoint: Path) -> None:
    (checkpoint / "global_step7" / "optimizer.pt").unlink()
    assert torn_reason(checkpoint) == "global_step7/optimizer.pt is missing"


def test_checkpoint_with_a_short_file_is_torn(checkpoint: Path) -> None:
    (checkpoint / "adapter.safetensors").write_bytes(b"123")
    assert torn_reason(checkpoint) == "adapter.safetensors has 3 bytes, expected 5"


def test_checkpoint_with_a_cut_manifest_is_torn(checkpoint: Path) -> None:
    (checkpoint / MANIFEST).write_text('{"step": 7, "fi')
    assert "not JSON" in torn_reason(checkpoint)


@pytest.mark.parametrize("owed", [Owed(), Owed(evaluation=True), Owed(evaluation=True, save=True)])
def test_checkpoint_says_what_is_owed(tmp_path: Path, owed: Owed) -> None:
    write_manifest(tmp_path, step=7, world_size=2, owed=owed)
    assert owed_at(tmp_path) == owed
    assert owed_at(tmp_path / "by-hand") == Owed()


@pytest.mark.parametrize(
    ("limit", "best", "removed"),
    [
        (None, None, []),
        (2, None, [8]),
        (1, None, [16, 8]),
        (1, 8, [16]),
        (2, 8, [16]),
        (3, 8, []),
        (2, 99, [8]),
    ],
)
def test_newest_and_best_checkpoint_always_stay(limit: int | None, best: int | None, removed: list[int]) -> None:
    assert superfluous([16, 24, 8], limit, best) == removed


def test_checkpoints_are_found_newest_first_and_torn_names_are_none(tmp_path: Path) -> None:
    for name in ("checkpoint-9", "checkpoint-10", "torn-11", "checkpoint-x", "checkpoint-12-copy"):
        (tmp_path / name).mkdir()
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-10", "checkpoint-9"]


def test_write_atomically_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    for text in ("one", "two"):
        write_atomically(tmp_path / "x.json", text)
    assert (tmp_path / "x.json").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_manifest_comes_after_every_file_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operating system is asked, in its order: each file and the folder are synced before the manifest has its name."""
    folder, asked = tmp_path / "checkpoint-7", list[str]()
    (folder / "global_step7").mkdir(parents=True)
    (folder / "adapter.safetensors").write_bytes(b"12345")
    (folder / "global_step7" / "optimizer.pt").write_bytes(b"678")
    sync, replace = os.fsync, os.replace

    def noted_sync(descriptor: int) -> None:
        asked.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        sync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        asked.append(f"name {target.name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_manifest(folder, step=7, world_size=2)
    named = asked.index(f"name {MANIFEST}")
    assert {"sync adapter.safetensors", "sync optimizer.pt", "sync checkpoint-7"} <= set(asked[:named])
    assert asked[named - 1].startswith(f"sync .{MANIFEST}")  # its content, before its name
    assert asked[named + 1 :] == ["sync checkpoint-7"]  # its name
