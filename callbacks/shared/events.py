"""Events: everything that a run can say about itself. Each event has a class; the journal holds events as JSON lines.

Over 250 lines: a reader of a journal finds every event on one page, by its name.
"""

import re
from collections.abc import Iterable
from typing import ClassVar, Literal, TypeVar

import msgspec

Stage = Literal["prepare", "train", "evaluate", "report"]
Cause = Literal[
    "finished",  # the work is done
    "config",  # another attempt would fail in the same way
    "unsaved",  # a checkpoint could not be written
    "crashed",  # the attempt failed, or was killed from outside without a warning
    "not_started",  # Slurm could not start the attempt's process
    "cancelled",  # a person cancelled the job: it never comes back
    "requeued",  # Slurm has already requeued the job
    "preempted",  # the job still has some grace time
    "evicted",  # preempted without grace time (left), at a site that cancels preempted jobs: this job is over
    "superseded",  # another attempt works on this run
    "timed_out",  # the time limit is near
    "expired",  # the time limit is reached: this job is over
    "signalled",  # a person sent the signal, so that the attempt saves and comes back
    "unknown",  # a signal came, and there is no scontrol here to ask what it means
]
"""Why an attempt ends."""
Action = Literal["exit", "requeue", "leave", "successor", "stay", "fail"]
"""What an attempt does when it leaves: end; requeue its job; just exit, since Slurm then requeues the job; submit a new job; wait
until Slurm kills it; let the run fail."""
RunEnd = Literal["FINISHED", "FAILED", "KILLED"]
"""MLflow's words for how a run ends."""
Role = Literal["train", "validation"]


def _tag(name: str) -> str:
    """`StageStarted` → `stage_started`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Event(msgspec.Struct, kw_only=True, tag_field="event", tag=_tag):
    """The fields that all events have."""

    is_synced: ClassVar[bool] = True
    """True: the event is on disk before the writer continues. False: it can be lost if the node dies."""

    time: float = 0.0
    """Seconds since the epoch, by the writer's clock; set when the event is written."""
    behind: float = 0.0
    """Seconds by which the writer's clock was behind the newest event that it knew; set when the event is written."""
    writer: str = ""
    """Who wrote the event: stem of the journal file, `<stage>-<job id>-<attempt>-<writer>`; set when the event is read."""

    @property
    def order(self) -> float:
        """Its place among the events of all machines: after every event that its writer knew, whatever their clocks say."""
        return self.time + self.behind

    @property
    def attempt_name(self) -> str:
        """The attempt that wrote the event, for example `train-4711-0`."""
        return self.writer.rpartition("-")[0]


# ---- Submission: written on the login node, and by a job that submits its successor.


class Checked(Event):
    """`regrow submit` has checked the run."""

    errors: list[str]
    """Codes of the errors that `--force` ignored."""
    warnings: list[str]


class CheckSkipped(Event):
    """`regrow submit --no-check`: the run was not checked."""


class Foreground(Event):
    """A command has begun to run the stages on this machine, one after the other."""

    host: str
    pid: int


class Submitted(Event):
    """Slurm has accepted a job, or an array of jobs."""

    stage: Stage
    job_id: str
    """For an array: the id of the whole array."""
    parts: tuple[int, ...] = (0,)
    """The parts of the stage; for an array, in the order of its array tasks."""
    after: str | None = None
    """Slurm's dependency, for example `afterok:4711`; None: no dependency."""
    successor_of: str | None = None
    """The job that this one continues; None: a person submitted it with submit, resume or evaluate."""


class SubmissionFailed(Event):
    """sbatch has refused one of a run's jobs."""

    cancelled: list[str]
    """The jobs that were submitted before it, and are now cancelled."""
    error: str
    """The error of scancel; empty: there was none."""


class CancelRequested(Event):
    """A person has typed `regrow cancel`, or Ctrl-C in the terminal of a run in the foreground."""

    job_ids: list[str] = []


# ---- An attempt of a stage: its beginning, and how it leaves.


class StageStarted(Event):
    """An attempt has begun."""

    stage: Stage
    job_id: str
    attempt: int
    """How many times the job was requeued before; 0 for the first attempt."""
    host: str
    pid: int
    log: str
    """The file with the output of its processes."""
    cpus: int
    """Number of CPUs that the attempt may use."""
    part: int = 0


class StopRequested(Event):
    """The attempt was told to stop."""

    signal: str | None
    """The signal's name; None: Slurm's record of the job said that it must stop."""
    came: float
    """When the signal came, seconds since the epoch."""
    cause: Cause
    phase: Literal["starting", "training"]


class Left(Event):
    """An attempt ends before its work is done: why, and what it will do. Another event says that it was done."""

    stage: Stage
    cause: Cause
    action: Action
    reason: str
    """Why this action."""
    message: str = ""
    """What went wrong; empty: nothing."""
    step: int | None = None
    """The work that is saved: the newest saved step; for an evaluation, the number of answered records."""
    part: int = 0


class Requeued(Event):
    """The stage has requeued its job."""

    job_id: str
    by: str


class RequeueFailed(Event):
    """Slurm did not requeue the job."""

    error: str


class SuccessorFailed(Event):
    """Slurm did not accept the new job that should continue this one."""

    error: str


class SlurmSilent(Event):
    """Slurm's controller did not answer. The stage asks again."""

    error: str
    pause: float
    """Seconds until it asks again."""


class Suspended(Event):
    """The attempt's processes stood still: Slurm had suspended the job, or the machine was paused. They go on now."""

    seconds: float
    """How long they stood still, up to this entry's time."""


class DependentMoved(Event):
    """The next stage's job now waits for other jobs than before."""

    stage: Stage
    job_id: str
    to: list[str]
    error: str
    """Slurm's error; empty: there was none."""


class StageFinished(Event):
    """A part of a stage is done."""

    stage: Stage
    part: int = 0


class StageFailed(Event):
    """A part of a stage has failed, and there will be no further attempt."""

    stage: Stage
    message: str
    exit_code: int
    type: str | None = None
    """Class of the exception; None: there was none."""
    part: int = 0


class Error(Event):
    """A process has ended with an exception."""

    type: str
    message: str
    rank: int | None = None
    """The rank of a training process; None: another process."""
    stage: Stage | None = None
    part: int = 0
    exit_code: int | None = None


# ---- Prepare.


class Progress(Event):
    """Progress of long work, in bytes."""

    what: str
    done: int
    total: int


class Prepared(Event):
    """The merged records and their tokens are ready."""

    folder: str
    records: int
    positives: int | None = None
    """Number of records with an offender; None: the task is no extraction."""
    negatives: int | None = None
    validation_records: int = 0
    leaked_validation_records: int = 0
    """Number of validation records that are also training records."""


class Dataset(Event):
    """A file of merged records."""

    role: Role
    path: str
    sha256: str
    records: int


class TokensChecked(Event):
    """What the trainer will see: the records' lengths in tokens, and what a model learns from them."""

    records: int
    longest: int
    too_long: int
    """Number of records longer than `sequence_len`; the trainer leaves them out."""
    cut_answers: int
    unlearned: int
    """Number of records without any label."""
    wrong_labels: int
    """Number of records whose labels are not the answer and its end token."""
    examples: list[str]


# ---- Train.


class RanksStarted(Event):
    """The training's processes were started."""

    world_size: int
    checkpoint: str | None
    """The checkpoint to resume from; None: the training starts from the base model."""
    training: str | None = None
    """The name of the training, if another one of the run follows."""


class TrainingBegan(Event):
    """The training is ready for its first step."""

    step: int
    """Number of steps that are already done."""
    target_step: int


class Metrics(Event):
    """The metrics that were logged at a step."""

    is_synced: ClassVar[bool] = False

    step: int
    values: dict[str, float]


class Saved(Event):
    """A checkpoint is complete: every file is on disk, and its manifest is written."""

    step: int
    checkpoint: str = ""
    seconds: float = 0.0


class SaveFailed(Event):
    """A checkpoint could not be written."""

    checkpoint: str
    renamed: str
    """The new name of the incomplete checkpoint."""
    error: str
    is_full: bool
    """True: the file system or the quota is full."""


class CheckpointTorn(Event):
    """A checkpoint is not complete, and was renamed."""

    checkpoint: str
    renamed: str
    reason: str


class Stopped(Event):
    """The ranks have saved the last completed step and leave."""

    step: int
    phase: str
    """What the ranks were doing when they saw the request to stop: step, accumulation, evaluation or generation."""
    evaluation_owed: bool
    """True: an evaluation was cut short, and the next attempt will do it first."""


class TrainingEnded(Event):
    """The trainer's loop has ended."""

    step: int
    target_step: int


class Finished(Event):
    """The target step is reached and the final adapter is saved. Only this event means that a training is finished."""

    step: int
    target_step: int = 0
    files: list[str] = []


class TrainingFinished(Event):
    """One of the run's trainings has reached its target step, and its weights are saved. Another training follows."""

    training: str
    step: int
    """Optimizer steps of this and all earlier trainings of the run."""
    files: list[str] = []


class FailedAfterTheEnd(Event):
    """The training is finished. A later step of its process failed; this does not change the result."""

    message: str


class Params(Event):
    """The resolved config, as params for MLflow."""

    values: dict[str, str]


class Environment(Event):
    """Versions of the packages, and the state of the code."""

    values: dict[str, str]


class Artifact(Event):
    """A file that MLflow gets as an artifact."""

    path: str
    folder: str
    """The folder among the run's artifacts; empty: the top folder."""


# ---- Evaluate.


class NothingToEvaluate(Event):
    """A part of the evaluation has nothing to do."""

    part: int
    reason: str


class PartBegan(Event):
    """A part of the evaluation has loaded its model."""

    part: int
    model: str
    shard: int
    shards: int
    records: int
    done: int
    """Number of records that earlier attempts have answered."""


class Generated(Event):
    """A batch of answers is on disk."""

    part: int
    records: int
    batch: int = 0
    tokens: int = 0
    seconds: float | None = None
    """Time of the generation; None: an earlier attempt generated the batch and was killed before it could write this event."""
    pieces: int = 1
    """Number of pieces into which the batch was cut, so that it fits into memory."""


class PartGenerated(Event):
    """A part of the evaluation has all its answers."""

    part: int
    peak_memory_gib: float | None
    """Peak memory of one GPU, GiB; None: there is no GPU."""


class Evaluated(Event):
    """Models were scored."""

    models: list[str]


class TrainedAgain(Event):
    """The first steps were trained a second time, by `regrow verify --again`."""

    steps: int
    """The last step that both trainings have logged."""
    losses: int
    """Number of logged losses that were compared."""
    has_weights: bool
    """True: the whole training was done again, and the final weights were compared too."""
    differences: list[str]
    """Sentences; empty: both trainings are the same, bit for bit."""


# ---- Report, and what MLflow gets.


class Summary(Event):
    """Figures of the whole run. Each new report writes them again."""

    step: int
    values: dict[str, float]


class RunEnded(Event):
    """The run has ended."""

    status: RunEnd


class Reported(Event):
    """The report is written."""

    summary: str


class MlflowAttached(Event):
    """The run's place in MLflow is known: its MLflow run and experiment."""

    run_id: str
    experiment_id: str


class MlflowFailed(Event):
    """A post to MLflow failed; it will be tried again."""

    error: str


class MlflowCaughtUp(Event):
    """After a failure, MLflow has everything again."""


class System(Event):
    """A sample of the machine: CPU, memory, disk, network, GPUs."""

    second: int
    """Seconds since the submission."""
    values: dict[str, float]


# ---- For readers.


class TornLine(Event):
    """A line that a full disk has cut off. No writer writes this event; a reader makes it."""


KINDS: dict[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in Event.__subclasses__()}
"""Every event class, by the name of its event in the journal."""
E = TypeVar("E", bound=Event)


def only(entries: Iterable[Event], kind: type[E]) -> list[E]:
    """The events of one kind, in the given order."""
    return [entry for entry in entries if isinstance(entry, kind)]


def newest(entries: Iterable[Event], kind: type[E]) -> E | None:
    """The last event of one kind; None: there is none."""
    found: E | None = None
    for entry in entries:
        if isinstance(entry, kind):
            found = entry
    return found
