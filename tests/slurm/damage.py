"""Damage to the files of a chaos row's run: damaged checkpoints, a full disk."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from acts import Act, preempted_at
from dev_cluster.ownership import last_will
from disturbed_run import SAVE_STEPS, Run


def torn_after_preemption(tear: Callable[[Path], None]) -> Act:
    """Damage the checkpoint of a stop while the job waits: the run must resume from the checkpoint before it."""

    def act(run: Run) -> None:
        preempted_at("step@12")(run)
        checkpoint = run.paths.checkpoints / "checkpoint-13"
        assert checkpoint.exists(), f"there are {sorted(p.name for p in run.paths.checkpoints.iterdir())}"
        tear(checkpoint)
        run.wait_for_attempts(2)
        run.wait_for_new("training_began", 1)
        assert [e.checkpoint for e in run.entries("checkpoint_torn")] == ["checkpoint-13"], "it was not set aside"

    return act


def without(name: str) -> Callable[[Path], None]:
    return lambda checkpoint: (checkpoint / name).unlink()


def cut_short(checkpoint: Path) -> None:
    path = checkpoint / "adapter_model.safetensors"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


@contextmanager
def small_disk(run: Run) -> Iterator[None]:
    """Put the run's checkpoints on a disk of 64 MiB. At the end its files are kept, and it is unmounted in any case."""
    checkpoints, kept = run.paths.checkpoints, run.paths.run_dir / "kept"
    with _disk(checkpoints, "64m"):
        try:
            yield
        finally:
            shutil.copytree(checkpoints, kept)
    checkpoints.rmdir()
    kept.rename(checkpoints)


@contextmanager
def small_temporary_folder(run: Run) -> Iterator[None]:
    """Put the nodes' temporary folder on a disk of 4 MiB."""
    with _disk(temporary_folder(run), "4m"):
        yield


@contextmanager
def _disk(folder: Path, size: str) -> Iterator[None]:
    unmount = ["umount", "--lazy", str(folder)]  # lazy: the jobs of an aborted row still write there
    with last_will(unmount):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)], check=True)
        try:
            yield
        finally:
            subprocess.run(unmount, check=True)


def disk_full(run: Run) -> None:
    """Fill the checkpoints' disk after the first save: the run must end, say why, and keep the complete checkpoints."""
    run.wait_for_gate("step@12")
    ballast = _fill(run.paths.checkpoints)
    run.open_gate("step@12")
    run.wait_for_end()
    (failed,) = run.entries("save_failed")
    assert failed.renamed.startswith("torn-16-"), failed
    (end,) = run.entries("stage_failed", stage="train")
    assert "could not be written" in end.message and "make room" in end.message, end
    assert [e.step for e in run.entries("saved")] == [SAVE_STEPS]
    ballast.unlink()
    shutil.rmtree(run.paths.checkpoints / failed.renamed, ignore_errors=True)
    run.resume()


def _fill(folder: Path) -> Path:
    """The file that takes what room there was."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 1):
            with suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    return ballast


def temporary_folder(run: Run) -> Path:
    """The nodes' TMPDIR, in the rows that have one of their own."""
    return run.world.folder / "tmp"


def temporary_folder_full_at(gate: str) -> Act:
    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        _fill(temporary_folder(run))
        run.preempt(gate)

    return act


def temporary_folder_removed_at(gate: str) -> Act:
    """Remove what stands in the nodes' temporary folder, and the folder itself, as a cleaner does, and preempt."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        shutil.rmtree(temporary_folder(run))
        run.preempt(gate)

    return act
