"""What every stage does on a node: its journal, its log, its children, its exit code."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import submitit

from callbacks.journal import Journal, read_journal
from data_prep.records import RecordError
from jobs.config_error import ConfigError
from jobs.launch import Command, child_environment
from jobs.paths import REPO_ROOT
from jobs.profile import Stage
from jobs.spec import RunSpec

EXIT_FAILED, EXIT_CONFIG, EXIT_TEMPORARY = 1, 2, 75
"""The work failed; the config is wrong, so that another attempt would fail as well; not finished, come back."""
ATTEMPT_ENV = "SLURM_RESTART_COUNT"
"""Unset on a job's first attempt, then 1, 2, ..."""


class StageFailed(RuntimeError):
    """The stage's work failed: what happened, and where to look."""

    def __init__(self, message: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Attempt:
    """One go of one stage."""

    spec: RunSpec
    name: str
    """<stage>-<job id>-<attempt>: names its log and its journals."""
    journal: Journal

    @property
    def stem(self) -> str:
        """Path of this attempt's journals, without the writer."""
        return str(self.spec.paths.journal / self.name)

    @property
    def log(self) -> Path:
        return self.spec.paths.log(self.name)

    def run(self, commands: Sequence[Command]) -> None:
        """Start the commands together and wait; if one fails, the others are ended.

        Raises:
            StageFailed: one of them failed; the message says how, and where its output is.
        """
        with self.log.open("ab") as log:
            children = [_start(command, log.fileno()) for command in commands]
            try:
                failed = _first_failure(children)
            finally:
                _end(children)
        if failed is not None:
            rank, code = failed
            raise StageFailed(_failure_text(rank, code, len(commands), self))


def run_stage(stage: Stage, run_dir: Path, work: Callable[[Attempt], None]) -> None:
    """Carry out a stage's work as one attempt of the job that this process is.

    Raises:
        SystemExit: with the exit code of DESIGN; the journal says `stage_finished` or `stage_failed`.
    """
    spec = RunSpec.load(run_dir)
    job_id, number = submitit.JobEnvironment().job_id, int(os.environ.get(ATTEMPT_ENV, "0"))
    name = f"{stage}-{job_id}-{number}"
    journal = Journal.of_writer(str(spec.paths.journal / name), "stage")
    journal.event("stage_started", stage=stage, job_id=job_id, attempt=number, host=os.uname().nodename,
                  cpus=len(os.sched_getaffinity(0)), log=str(spec.paths.log(name)))  # fmt: skip
    try:
        work(Attempt(spec, name, journal))
    except StageFailed as error:
        _fail(journal, stage, str(error), error.exit_code)
    except (ConfigError, RecordError) as error:
        _fail(journal, stage, str(error), EXIT_CONFIG)
    except OSError as error:
        _fail(journal, stage, str(error), EXIT_FAILED)
    except BaseException as error:
        journal.event("stage_failed", stage=stage, message=f"{type(error).__name__}: {error}", exit_code=EXIT_FAILED)
        raise
    journal.event("stage_finished", stage=stage)


def _fail(journal: Journal, stage: Stage, message: str, exit_code: int) -> None:
    journal.event("stage_failed", stage=stage, message=message, exit_code=exit_code)
    print(message, flush=True)
    raise SystemExit(exit_code)


def _start(command: Command, output: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command.arguments,
        env=child_environment(command.environment),
        cwd=REPO_ROOT,  # relative paths of a config count from here
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        preexec_fn=_die_with_parent,
    )


def _die_with_parent() -> None:
    """PR_SET_PDEATHSIG: a stage that is killed takes its children along. prctl(2)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _first_failure(children: Sequence[subprocess.Popen[bytes]]) -> tuple[int, int] | None:
    """Index and return code of the first child that fails, as soon as it does; None once all have succeeded."""
    running = {child.pid: rank for rank, child in enumerate(children)}
    while running:
        pid, status = os.waitpid(-1, 0)
        code = os.waitstatus_to_exitcode(status)
        rank = running.pop(pid, None)
        if rank is None:
            continue
        children[rank].returncode = code
        if code:
            return rank, code
    return None


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.returncode is None:
            child.kill()
            child.wait()


def _failure_text(rank: int, code: int, count: int, attempt: Attempt) -> str:
    who = f"rank {rank} of {count}" if count > 1 else "its process"
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
    memory = " (out of memory is the usual reason)" if code == -signal.SIGKILL else ""
    said = _reported_error(attempt)
    return f"{who} {how}{memory}{': ' + said if said else ''}\nIts output: {attempt.log}"


def _reported_error(attempt: Attempt) -> str:
    """What a rank wrote into the journal before it gave up."""
    errors = [e for e in read_journal(attempt.spec.paths.journal)
              if e["event"] == "error" and e["writer"].startswith(f"{attempt.name}-")]  # fmt: skip
    return f"{errors[0]['type']}: {errors[0]['message']}" if errors else ""
