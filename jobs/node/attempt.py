"""What every stage needs on a node: its journal, its log, its child processes, the signals, its end."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import submitit

from callbacks.shared import events
from callbacks.shared.events import Event, only
from callbacks.shared.journal import Entry, Journal, know_newest, read_journal
from callbacks.shared.stop_file import StopFile
from jobs.node.children import Children, next_signal, pending_stop
from jobs.node.commands import Command
from jobs.node.lease import HEARTBEAT_SECONDS, Lease
from jobs.node.requeue_policy import FINAL, Cause, stop_cause
from jobs.slurm.answers import JobRecord
from jobs.slurm.commands import SlurmCluster
from jobs.spec.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_TEMPORARY, NoAnswer
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import Stage, StageJob

ENVIRONMENT = {
    "job_id": "SLURM_JOB_ID",
    "array_job_id": "SLURM_ARRAY_JOB_ID",
    "array_task_id": "SLURM_ARRAY_TASK_ID",
    "restart_count": "SLURM_RESTART_COUNT",
}
"""Slurm's variables for a job. The restart count is unset for the first attempt, then 1, 2, ...; each array task has its own."""
ENDED_BY_US = -signal.SIGKILL
SUSPENDED_SECONDS = 10.0
"""A stage that was not awake for so long, in spite of its heartbeat, stood still. A busy machine delays it by less."""
DEFAULT_WARNING_SECONDS = 90
"""submitit's default of `signal_delay_s`."""


class StageFailed(RuntimeError):
    """The stage's work failed. The message says what happened, and where its output is."""

    def __init__(self, message: str, exit_code: int = EXIT_FAILED, cause: Cause | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.cause: Cause = cause or ("config" if exit_code == EXIT_CONFIG else "crashed")


class Stopped(Exception):
    """The stage was told to stop, and its child processes have ended."""


@dataclass
class Attempt:
    """One attempt of one part of a stage."""

    spec: RunSpec
    job: StageJob
    job_id: str
    restart_count: int
    """How many times this job was requeued before."""
    in_slurm: bool
    journal: Journal
    cluster: SlurmCluster = field(default_factory=SlurmCluster)
    """The one that this job's environment names: the path of its configuration may be another than on the login node."""
    lease: Lease | None = None
    started_at: float = field(default_factory=time.time)
    stop_cause: Cause | None = None
    """Why the attempt was told to stop; None: it was not."""
    on_stop: Callable[["Attempt"], None] = lambda attempt: None
    """Called whenever the cause of a stop becomes known, or is known better."""

    @property
    def stage(self) -> Stage:
        return self.job.stage

    @property
    def part(self) -> int:
        """The part of the stage, from 0; most stages have only part 0."""
        return self.job.part

    @property
    def name(self) -> str:
        """<stage>-<job id>-<attempt>, e.g. evaluate-4711_3-0. Its log and its journals have this name."""
        return f"{self.stage}-{self.job_id}-{self.restart_count}"

    @property
    def stem(self) -> str:
        """Path of this attempt's journals, without the writer's name."""
        return str(self.spec.paths.journal / self.name)

    @property
    def log(self) -> Path:
        return self.spec.paths.log(self.name)

    def say(self, event: Event) -> bool:
        """Write an event that must not keep the job from coming back; False: the journal cannot be written."""
        try:
            self.journal.write(event)
        except OSError as error:
            print(f"the journal cannot be written: {error}", flush=True)
            return False
        return True

    def entries(self) -> list[Entry]:
        """The entries of this attempt's writers so far."""
        return read_journal(self.spec.paths.journal, of=self.name)

    def run(self, commands: Sequence[Command], stop_file: StopFile | None = None) -> None:
        """Start the commands together and wait for them. If one fails, end the others.

        Args:
            stop_file: where the children look for a request to stop. Once the journal has their `training_began`, they
                save and leave by themselves; before that, and with None, a stop ends them at once.

        Raises:
            StageFailed: a command failed; the message says how, and where its output is.
            Stopped: the commands have ended because the stage was told to stop.
        """
        self.check_stop()
        with self.log.open("ab") as log:
            children = Children(commands, log.fileno())
            try:
                failed = self._first_failure(children, stop_file)
            finally:
                children.end()
        if failed is None:
            return
        if self.stop_cause and failed[1] in (EXIT_TEMPORARY, ENDED_BY_US):
            raise Stopped
        raise StageFailed(_failure_text(*failed, len(commands), self), *self._failure_kind(failed[1]))

    def check_stop(self) -> None:
        """Raise Stopped if the stage was told to stop. Long work in this process calls this again and again."""
        if number := pending_stop():
            self._note_stop(number)
        if self.stop_cause:
            raise Stopped

    def look_for_preemption(self) -> None:
        """Ask Slurm once whether the job is preempted: a signal sent before the job step started has reached no process."""
        record = self.record()
        if record and record.preempt_time and self.stop_cause is None:
            self._note_stop(None)

    def record(self) -> JobRecord | None:
        """Slurm's record of the job at this moment; None: it is not a Slurm job, or Slurm cannot be asked."""
        try:
            return self.cluster.job_record(self.job_id) if self.in_slurm else None
        except NoAnswer:
            return None

    def cause_by(self, record: JobRecord | None, number: signal.Signals | None = None) -> Cause:
        """Why the attempt must stop, by the job's record. `number`: the signal that came; None: no signal."""
        parameters = self.spec.profile.parameters(self.stage)
        limit = parameters.get("timeout_min")
        return stop_cause(
            record,
            self.restart_count,
            now=time.time(),
            ends_at=self.started_at + 60 * float(limit) if limit and self.in_slurm else None,
            warning=float(parameters.get("slurm_signal_delay_s", DEFAULT_WARNING_SECONDS)),
            is_warning=number == signal.SIGUSR2 and self.spec.site is not None and not self.spec.site.user_signal,
        )

    def _first_failure(self, children: Children, stop_file: StopFile | None) -> tuple[int, int] | None:
        """Wait for the children. Index and return code of the first that failed; None: none has failed."""
        while children.are_running():
            asleep_since = time.monotonic()
            number = next_signal(HEARTBEAT_SECONDS)
            if (suspended := time.monotonic() - asleep_since - HEARTBEAT_SECONDS) > SUSPENDED_SECONDS:
                self.say(events.Suspended(seconds=suspended))
            if self.lease and not self.lease.is_kept():
                raise StageFailed(
                    f"another attempt has taken over this run: {self.lease.holder()}", EXIT_TEMPORARY, "superseded"
                )
            if number in (signal.SIGUSR2, signal.SIGTERM):
                self._stop(children, stop_file, number)
            elif (failed := children.first_failure()) and (self.stop_cause is None or failed[1] != EXIT_TEMPORARY):
                return failed
        return children.first_failure()

    def _stop(self, children: Children, stop_file: StopFile | None, number: signal.Signals | None) -> None:
        if stop_file:
            stop_file.request()  # first, so that children that begin right now see it before their first step
        has_begun = bool(stop_file) and self._has_begun()
        try:
            self._note_stop(number, phase="training" if has_begun else "starting")
        except OSError as error:  # nothing may keep the ranks from saving
            self.stop_cause = self.stop_cause or "unknown"
            print(f"the stop could not be noted: {error}", flush=True)
        if not has_begun:
            children.end()

    def _note_stop(self, number: signal.Signals | None, phase: Literal["starting", "training"] = "starting") -> None:
        came, cause = time.time(), self.cause_by(self.record(), number)
        if self.stop_cause is None or cause in FINAL:
            self.stop_cause = cause
        name = number.name if number else None
        self.say(events.StopRequested(signal=name, came=came, cause=cause, phase=phase))
        self.on_stop(self)

    def _has_begun(self) -> bool:
        """Whether the ranks that run now train: a run with several trainings starts others for each."""
        marks = [each for each in self.entries() if isinstance(each, events.RanksStarted | events.TrainingBegan)]
        return bool(marks) and isinstance(marks[-1], events.TrainingBegan)

    def _failure_kind(self, code: int) -> tuple[int, Cause | None]:
        """The stage's exit code and cause, by a child's exit code and the attempt's entries."""
        if any(entry.is_full for entry in only(self.entries(), events.SaveFailed)):
            return EXIT_FAILED, "unsaved"
        is_config = code == EXIT_CONFIG and not self._has_begun()
        return (EXIT_CONFIG, "config") if is_config else (EXIT_FAILED, "crashed")


def current_attempt(job: StageJob, writer: str) -> Attempt:
    """The attempt that this process belongs to. `writer`: this process's name in the journal."""
    spec = RunSpec.load(Path(job.run_dir))
    in_slurm = spec.profile.executor == "slurm"
    job_id = own_job_id() if in_slurm else str(submitit.JobEnvironment().job_id)
    restart_count = int(os.environ.get(ENVIRONMENT["restart_count"], "0")) if in_slurm else _starts(spec, job, job_id)
    stem = f"{job.stage}-{job_id}-{restart_count}"
    know_newest(spec.paths.journal)
    journal = Journal.of_writer(str(spec.paths.journal / stem), writer)
    return Attempt(spec, job, job_id, restart_count, in_slurm, journal)


def _starts(spec: RunSpec, job: StageJob, job_id: str) -> int:
    """How many attempts have had this id before. On this machine it is a process id, which comes again; in a container, soon."""
    started = only(read_journal(spec.paths.journal), events.StageStarted)
    return sum((entry.stage, entry.job_id) == (job.stage, job_id) for entry in started)


def own_job_id() -> str:
    """The id of this process's Slurm job; for an array task `<array job id>_<array task id>`, as Slurm's commands need it."""
    array, index = os.environ.get(ENVIRONMENT["array_job_id"]), os.environ.get(ENVIRONMENT["array_task_id"])
    return f"{array}_{index}" if array and index else os.environ[ENVIRONMENT["job_id"]]


def _failure_text(rank: int, code: int, count: int, attempt: Attempt) -> str:
    who = f"rank {rank} of {count}" if count > 1 else "its process"
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
    memory = " (out of memory is the usual reason)" if code == -signal.SIGKILL else ""
    errors = only(attempt.entries(), events.Error)
    said = f": {errors[0].type}: {errors[0].message}" if errors else ""
    return f"{who} {how}{memory}{said}\nIts output: {attempt.log}"
