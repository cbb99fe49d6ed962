"""A run in the foreground that is interrupted: it loses no step, and leaves no process."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from patience import HANGS_AFTER_SECONDS
from processes_of_runs import processes_of, wait_for_end, words
from world import REGROW, REPO_ROOT, World

from callbacks.shared import events
from callbacks.shared.journal import read_journal
from callbacks.shared.manifest import torn_reason
from jobs.spec.paths import RunPaths


@pytest.fixture
def submission(world: World) -> Iterator[subprocess.Popen[str]]:
    flags = [flag for setting in [*world.settings, "max_steps=100000"] for flag in ("--set", setting)]
    config = str(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml")
    command = [str(REGROW), "submit", config, "--name", "ended", *flags]
    with subprocess.Popen(command, env=world.environment, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_ended_submission_leaves_no_process(world: World, run: RunPaths, submission: subprocess.Popen[str]) -> None:
    assert submission.stdout is not None
    for line in submission.stdout:
        if "step 0:" in line:  # the rank trains
            break
    assert processes_of(world.runs_root / "ended")
    submission.send_signal(signal.SIGTERM)
    assert submission.wait(timeout=HANGS_AFTER_SECONDS) == 128 + signal.SIGTERM
    for pid in processes_of(world.runs_root / "ended"):
        wait_for_end(pid)


def test_ctrl_c_loses_no_step_and_resume_goes_on(world: World, run: RunPaths) -> None:
    paths, code, printed = _interrupted(world, "interrupted", is_read=True)
    assert code == 75, printed
    (stopped,) = [entry for entry in read_journal(paths.journal) if isinstance(entry, events.Stopped)]
    assert "train is not finished\nhint: `regrow resume" in printed
    assert f"` goes on from step {stopped.step}\n" in printed
    assert "cancelled" in world.regrow("status", "interrupted", "--set", f"runs_root={world.runs_root}").stdout
    done = world.regrow("resume", "interrupted", "--set", f"runs_root={world.runs_root}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _losses(paths) == list(range(1, 401))
    assert [e.step for e in read_journal(paths.journal) if isinstance(e, events.TrainingBegan)] == [0, stopped.step]


def test_ctrl_c_saves_also_where_nobody_reads_what_is_printed(world: World, run: RunPaths) -> None:
    paths, _, _ = _interrupted(
        world, "unread", is_read=False
    )  # as in `regrow submit ... | tee log`: Ctrl-C ends tee too
    (stopped,) = [entry for entry in read_journal(paths.journal) if isinstance(entry, events.Stopped)]
    assert stopped.step == _losses(paths)[-1]
    assert torn_reason(paths.checkpoints / f"checkpoint-{stopped.step}") == ""


def test_ctrl_c_twice_ends_what_does_not_leave(world: World, run: RunPaths) -> None:
    with _training(world, "stubborn") as (paths, terminal):
        (rank,) = [pid for pid in processes_of(paths.run_dir) if b"callbacks.rank" in words(pid)]
        os.kill(rank, signal.SIGSTOP)
        os.killpg(terminal.pid, signal.SIGINT)
        while not any(isinstance(entry, events.CancelRequested) for entry in read_journal(paths.journal)):
            assert terminal.poll() is None
            time.sleep(0.05)
        os.killpg(terminal.pid, signal.SIGINT)
        printed, _ = terminal.communicate(timeout=HANGS_AFTER_SECONDS)
        assert terminal.returncode == 75, printed
        assert "train is not finished\nhint: `regrow resume" in printed
        assert "` goes on\n" in printed
    assert "cancelled" in world.regrow("status", "stubborn", "--set", f"runs_root={world.runs_root}").stdout


def _interrupted(world: World, name: str, is_read: bool) -> tuple[RunPaths, int, str]:
    """Submit, and press Ctrl-C in the middle of the training. The paths, the exit code, and the output if it is read."""
    with _training(world, name) as (paths, terminal):
        assert terminal.stdout is not None
        if not is_read:
            terminal.stdout.close()
        os.killpg(terminal.pid, signal.SIGINT)  # as a terminal does: to every process in its foreground
        printed = terminal.stdout.read() if is_read else ""
        terminal.wait(timeout=HANGS_AFTER_SECONDS)
    return paths, terminal.returncode, printed


@contextmanager
def _training(world: World, name: str) -> Iterator[tuple[RunPaths, "subprocess.Popen[str]"]]:
    """A submission in a terminal's foreground, in the middle of its training. Afterwards all its processes must end."""
    paths, steps = RunPaths(world.runs_root / name), ("max_steps=400", "eval_steps=400", "save_steps=400")
    settings = [*world.settings, *steps, "regrow.generation_eval=null"]
    flags = [flag for setting in settings for flag in ("--set", setting)]
    config = str(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml")
    command = [str(REGROW), "submit", config, "--no-check", "--name", name, *flags]
    with subprocess.Popen(
        command, env=world.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as terminal:
        while len(_losses(paths)) < 20:
            assert terminal.poll() is None
            time.sleep(0.05)
        yield paths, terminal
    for pid in processes_of(paths.run_dir):
        wait_for_end(pid)


def _losses(paths: RunPaths) -> list[int]:
    return [e.step for e in read_journal(paths.journal) if isinstance(e, events.Metrics) and "loss" in e.values]
