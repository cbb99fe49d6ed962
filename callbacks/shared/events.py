"""Events: all that a run can say about itself. One class an event; the journal holds them as JSON lines.

Over 250 lines: one page has every event of a run, so that a reader of a journal finds each by its name.
"""

import re
from collections.abc import Iterable
from typing import ClassVar, Literal, TypeVar

import msgspec

Stage = Literal["prepare", "train", "evaluate", "report"]
Cause = Literal[
    "finished",  # the work is done
    "config",  # the same again would fail as well
    "unsaved",  # a checkpoint could not be written
    "crashed",  # by its own fault, or killed from outside without a word
    "cancelled",  # by somebody: never brought back
    "requeued",  # Slurm has put it back already
    "preempted",  # with some grace left
    "evicted",  # preempted without (more) grace, where the site cancels: this job is over
    "superseded",  # another attempt works on this run
    "timed_out",  # its time limit is near
    "expired",  # its time limit is reached: this job is over
    "signalled",  # by somebody, who wants it to save and come back
    "unknown",  # a signal, and no scontrol here to ask what it means
]
"""Why an attempt ends."""
Action = Literal["exit", "requeue", "successor", "stay", "fail"]
"""What an attempt does when it leaves: end; requeue its job; submit a new job; wait until Slurm kills it; end the run."""
RunEnd = Literal["FINISHED", "FAILED", "KILLED"]
"""MLflow's words for how a run ends."""
Role = Literal["train", "validation"]


def _tag(name: str) -> str:
    """`StageStarted` → `stage_started`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Event(msgspec.Struct, kw_only=True, tag_field="event", tag=_tag):
    """What all events have."""

    is_synced: ClassVar[bool] = True
    """On disk before the writer goes on; else a node that dies may lose it."""

    time: float = 0.0
    """Seconds since the epoch, by the writer's clock; set when it is written."""
    writer: str = ""
    """Who wrote it: stem of the journal file, `<stage>-<job id>-<attempt>-<writer>`; set when it is read."""

    @property
    def attempt_name(self) -> str:
        """The attempt whose writer wrote it, `train-4711-0`."""
        return self.writer.rpartition("-")[0]


# ---- Submission: written on the login node, and by a job that submits its successor.


class Checked(Event):
    """`regrow submit` has checked the run."""

    errors: list[str]
    """Codes of the errors that `--force` has overruled."""
    warnings: list[str]


class CheckSkipped(Event):
    """`regrow submit --no-check`."""


class Foreground(Event):
    """A command has begun to run the stages on this machine, one after the other."""

    host: str
    pid: int


class Submitted(Event):
    """Slurm has taken a job, or an array of jobs."""

    stage: Stage
    job_id: str
    """Of an array: the whole array's."""
    parts: tuple[int, ...] = (0,)
    """The parts of the stage; an array's elements in their order."""
    after: str | None = None
    """Slurm's dependency, `afterok:4711`; None: none."""
    successor_of: str | None = None
    """The job that this one continues; None: somebody typed submit, resume or evaluate."""


class SubmissionFailed(Event):
    """sbatch has refused one of a run's jobs."""

    cancelled: list[str]
    """The jobs before it, which were cancelled."""
    error: str
    """What scancel said against that; empty: nothing."""


class CancelRequested(Event):
    """Somebody has typed `regrow cancel`, or Ctrl-C where the run is in the foreground."""

    job_ids: list[str] = []


# ---- An attempt of a stage: its beginning, and how it leaves.


class StageStarted(Event):
    """An attempt has begun."""

    stage: Stage
    job_id: str
    attempt: int
    """How often the job was requeued before."""
    host: str
    pid: int
    log: str
    """The file with what its processes print."""
    cpus: int
    """CPUs that it may use."""
    part: int = 0


class StopRequested(Event):
    """The attempt was told to stop."""

    signal: str | None
    """None: Slurm's record of the job said so."""
    came: float
    """When the signal came, seconds since the epoch."""
    cause: Cause
    phase: Literal["starting", "training"]


class Left(Event):
    """An attempt ends before its work is done: why, and what it intends. The deed is an event of its own."""

    stage: Stage
    cause: Cause
    action: Action
    reason: str
    """Why this action."""
    message: str = ""
    """What went wrong; empty: nothing."""
    step: int | None = None
    """What it does not lose: the newest saved step; of an evaluation, the records that have their answer."""
    part: int = 0


class Requeued(Event):
    """The stage has put its job back into the queue."""

    job_id: str
    by: str


class RequeueFailed(Event):
    """Slurm did not requeue the job."""

    error: str


class SuccessorFailed(Event):
    """Slurm did not take the new job that was to continue this one."""

    error: str


class DependentMoved(Event):
    """The next stage's job waits for other jobs than before."""

    stage: Stage
    job_id: str
    to: list[str]
    error: str
    """What Slurm said against it; empty: nothing."""


class StageFinished(Event):
    """A part of a stage is done."""

    stage: Stage
    part: int = 0


class StageFailed(Event):
    """A part of a stage has failed, and is not tried again."""

    stage: Stage
    message: str
    exit_code: int
    type: str | None = None
    """Class of the exception; None: there was none."""
    part: int = 0


class Error(Event):
    """A process has raised an exception that ended it."""

    type: str
    message: str
    rank: int | None = None
    """Of a training; None: another process."""
    stage: Stage | None = None
    part: int = 0
    exit_code: int | None = None


# ---- Prepare.


class Progress(Event):
    """How far something long has come, in bytes."""

    what: str
    done: int
    total: int


class Prepared(Event):
    """The merged records and their tokens are there."""

    folder: str
    records: int
    positives: int
    negatives: int
    validation_records: int
    leaked_validation_records: int
    """Validation records that stand in the training records too."""


class Dataset(Event):
    """A file of merged records."""

    role: Role
    path: str
    sha256: str
    records: int


class TokensChecked(Event):
    """What the trainer will see: lengths in tokens, and what is learned."""

    records: int
    longest: int
    too_long: int
    """Longer than `sequence_len`: the trainer leaves them out."""
    cut_answers: int
    unlearned: int
    """Records without any label."""
    wrong_labels: int
    """Records whose labels are not the answer and its end token."""
    examples: list[str]


# ---- Train.


class RanksStarted(Event):
    """The processes of the training were started."""

    world_size: int
    checkpoint: str | None
    """The one to resume from; None: from the base model."""


class TrainingBegan(Event):
    """The first step comes next."""

    step: int
    """Steps that are done already."""
    target_step: int


class Metrics(Event):
    """What was logged at a step."""

    is_synced: ClassVar[bool] = False

    step: int
    values: dict[str, float]


class Saved(Event):
    """A checkpoint is whole: every file on disk, its manifest written."""

    step: int
    checkpoint: str = ""
    seconds: float = 0.0


class SaveFailed(Event):
    """A checkpoint could not be written."""

    checkpoint: str
    renamed: str
    """What there was of it."""
    error: str
    is_full: bool
    """The file system, or the quota, had no room."""


class CheckpointTorn(Event):
    """A checkpoint is not whole, and was renamed."""

    checkpoint: str
    renamed: str
    reason: str


class Stopped(Event):
    """The ranks have saved the last completed step, and leave."""

    step: int
    phase: str
    """Where the request met them: step, accumulation, evaluation, generation."""
    evaluation_owed: bool
    """An evaluation was cut short; the next attempt makes it up."""


class TrainingEnded(Event):
    """The trainer's loop has ended."""

    step: int
    target_step: int


class Finished(Event):
    """The target step was reached, and the final adapter is saved: nothing else means that a training is finished."""

    step: int
    target_step: int = 0
    files: list[str] = []


class FailedAfterTheEnd(Event):
    """The training is finished; what came after it failed, and changes nothing."""

    message: str


class Params(Event):
    """The resolved config, as MLflow's params."""

    values: dict[str, str]


class Environment(Event):
    """Versions and state of the code."""

    values: dict[str, str]


class Artifact(Event):
    """A file that belongs into MLflow."""

    path: str
    folder: str
    """Among the run's artifacts; empty: at their top."""


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
    """Records that earlier attempts have answered."""


class Generated(Event):
    """A batch of answers is on disk."""

    part: int
    records: int
    batch: int = 0
    tokens: int = 0
    seconds: float | None = None
    """None: an earlier attempt generated it, and was killed before it could say so."""
    pieces: int = 1
    """Into how many pieces a batch is cut, so that it fits into the memory."""


class PartGenerated(Event):
    """A part has all its answers."""

    part: int
    peak_memory_gib: float | None
    """Of one GPU; None: there is none."""


class Evaluated(Event):
    """Models were scored."""

    models: list[str]


# ---- Report, and what MLflow gets.


class Summary(Event):
    """Figures of the whole run; a report that is made anew states them anew."""

    step: int
    values: dict[str, float]


class RunEnded(Event):
    """How the run has ended."""

    status: RunEnd


class Reported(Event):
    """The report is written."""

    summary: str


class MlflowAttached(Event):
    """The run's place in MLflow is known."""

    run_id: str
    experiment_id: str


class MlflowFailed(Event):
    """MLflow did not take what was posted; it is posted again."""

    error: str


class MlflowCaughtUp(Event):
    """MLflow has everything again."""


class System(Event):
    """A sample of the machine: CPU, memory, disk, network, GPUs."""

    second: int
    """Since the submission."""
    values: dict[str, float]


# ---- For readers.


class TornLine(Event):
    """A line that a full disk has cut off; no writer writes this."""


KINDS: dict[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in Event.__subclasses__()}
"""Every event by its name in the file."""
E = TypeVar("E", bound=Event)


def only(entries: Iterable[Event], kind: type[E]) -> list[E]:
    """The events of one kind, in their order."""
    return [entry for entry in entries if isinstance(entry, kind)]


def newest(entries: Iterable[Event], kind: type[E]) -> E | None:
    """The last event of one kind; None: there is none."""
    found: E | None = None
    for entry in entries:
        if isinstance(entry, kind):
            found = entry
    return found
