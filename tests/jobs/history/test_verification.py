"""One wrong byte in a checkpoint is found."""

from pathlib import Path

import pytest
from entries import entry

from callbacks.shared.ledger_file import Begun, Step, ledger_file, to_lines
from callbacks.shared.manifest import MANIFEST, write_manifest
from jobs.history.verification import bytes_to_read, verify


@pytest.fixture
def output(tmp_path: Path) -> Path:
    for step in (3, 6):
        folder = tmp_path / f"checkpoint-{step}"
        (folder / "global_step").mkdir(parents=True)
        (folder / "adapter.safetensors").write_bytes(b"12345" * 1000)
        (folder / "global_step" / "optimizer.pt").write_bytes(b"678")
        write_manifest(folder, step=step, world_size=1)
    lines = [Begun("train-1-0", "c", 0, 1), *(Step(step, str(step)) for step in range(1, 7))]
    ledger_file(tmp_path, 0).write_bytes(to_lines(lines))
    return tmp_path


def test_checkpoints_as_they_were_saved_have_no_problem(output: Path) -> None:
    read: list[int] = []
    found = verify(output, [entry(1, "finished", step=6)], read.append)
    assert found.problems == ()
    assert [(each.name, each.files, each.bytes) for each in found.checkpoints] == [
        ("checkpoint-6", 2, 5003),
        ("checkpoint-3", 2, 5003),
    ]
    assert sum(read) == 10006 < bytes_to_read(output)  # which also counts the manifests


@pytest.mark.parametrize("name", ["adapter.safetensors", "global_step/optimizer.pt"])
def test_wrong_byte_is_found(output: Path, name: str) -> None:
    file = output / "checkpoint-3" / name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert verify(output, []).problems == (f"checkpoint-3: {name} has other bytes than were saved",)


def test_torn_checkpoint_is_named_and_no_problem(output: Path) -> None:
    (output / "checkpoint-6" / MANIFEST).unlink()
    found = verify(output, [])
    assert [each.is_torn for each in found.checkpoints] == [True, False]
    assert found.problems == ()


def test_ledger_that_ends_before_the_training_is_a_problem(output: Path) -> None:
    (problem,) = verify(output, [entry(1, "finished", step=8)]).problems
    assert problem == "the training finished after 8 steps, and its ledger has 6"


def test_checkpoint_of_an_older_version_has_no_digests(output: Path) -> None:
    manifest = output / "checkpoint-6" / MANIFEST
    manifest.write_text(manifest.read_text().replace("xxh3_64", "unknown"), encoding="utf-8")
    found = verify(output, [])
    assert (found.checkpoints[0].files, found.problems) == (0, ())
