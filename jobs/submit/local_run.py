"""A stage's job on this machine, in the foreground of a terminal. If the waiting command is ended, the job saves and leaves."""

import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import submitit

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry, Journal, read_journal
from jobs.slurm.sbatch import SHARED_PARAMETERS
from jobs.spec.run_spec import RunSpec, python_of
from jobs.spec.stages import Stage, StageJob

POLL_SECONDS = 0.2
ENDING = (signal.SIGINT, signal.SIGTERM)
FINISHED = (events.StageFinished, events.RunEnded)


def run_job(spec: RunSpec, stage_job: StageJob, show: Callable[[], None], journal: Journal) -> None:
    """Run a job to its end.

    Args:
        show: called again and again while the job runs.
        journal: gets an event when the job is told to stop.

    Raises:
        KeyboardInterrupt: Ctrl-C; the job has saved its work and has left.
    """
    began = time.time()
    os.environ["PYTHONSAFEPATH"] = "1"  # submitit's processes must not find the current folder's modules
    with _signals_kept() as kept:
        job = local_executor(spec, stage_job.stage, sys.executable).submit(stage_job)
    try:
        for number in kept:
            signal.raise_signal(number)
        while not job.done():
            show()
            time.sleep(POLL_SECONDS)
    except BaseException:  # Ctrl-C, SIGTERM, a closed terminal, a fault of ours: the job must not run on alone
        _stop(_Stage(spec, job, began), journal)
        raise
    show()


@contextmanager
def _signals_kept() -> Iterator[list[signal.Signals]]:
    """Only record the signals that would end this process, so that it always knows which job it has started.

    A process started here does not get Ctrl-C, which a terminal sends to all of its processes: this process tells it to stop.
    """
    kept: list[signal.Signals] = []

    def keep(number: int, frame: FrameType | None) -> None:
        kept.append(signal.Signals(number))

    handlers = {number: signal.signal(number, keep) for number in ENDING}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield kept
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)


class _Stage:
    """The stage's own process. submitit's process around it may be a shell, which passes no signal on."""

    def __init__(self, spec: RunSpec, job: submitit.Job[None], began: float) -> None:
        self.job_id, self.has_ended = str(job.job_id), job.done
        self._folder, self._began = spec.paths.journal, began

    def entries(self) -> list[Entry]:
        """The stage's entries. Older ones are left out, because process ids, and so job ids, come again."""
        own = re.compile(rf"\w+-{self.job_id}-\d+-stage")
        new = (entry for entry in read_journal(self._folder) if entry.time >= self._began)
        return [entry for entry in new if own.fullmatch(entry.writer)]

    def pid(self) -> int | None:
        """The process's id. Waits until it is known. None: the job has ended."""
        while not self.has_ended():
            for entry in only(self.entries(), events.StageStarted):
                return entry.pid
            time.sleep(POLL_SECONDS)
        return None


def _stop(stage: _Stage, journal: Journal) -> None:
    """Let the stage save and leave. If this process is interrupted once more, end the stage at once."""
    try:
        if not any(isinstance(entry, FINISHED) for entry in stage.entries()):
            with suppress(OSError):  # a full disk
                journal.write(events.CancelRequested(job_ids=[stage.job_id]))
        if pid := stage.pid():
            _signal(pid, signal.SIGTERM)
        while not stage.has_ended():  # show nothing: the terminal may be closed
            time.sleep(POLL_SECONDS)
    except BaseException:
        if pid := stage.pid():
            children = _children(pid)
            _signal(pid, signal.SIGKILL)
            for child in children:
                with suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
        raise


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _children(pid: int) -> list[int]:
    """Ids of the children; each leads a process group. They die with their parent, but the processes that they started do not."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def local_executor(spec: RunSpec, stage: Stage, here: str) -> submitit.LocalExecutor:
    """The executor that runs one stage on this machine. `here`: this process's Python."""
    executor = submitit.LocalExecutor(spec.paths.slurm, python=shlex.quote(python_of(spec, here)))
    parameters = {key: value for key, value in spec.profile.parameters(stage).items() if key in SHARED_PARAMETERS}
    setup = {"setup": list(spec.profile.setup)} if spec.profile.setup else {}
    executor.update_parameters(**parameters, **setup, stderr_to_stdout=True)
    return executor
