"""A run's jobs, by its journal: what was submitted, which job succeeds which, and which jobs others wait for. Pure."""

from collections.abc import Collection
from dataclasses import dataclass

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry
from jobs.slurm.answers import QueuedJob
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import Stage

TOKEN = "regrow:"


@dataclass(frozen=True)
class Submission:
    """One `sbatch`: a job, or an array whose array tasks each do one part of a stage."""

    stage: Stage
    job_id: str
    """For an array: the id of the whole array."""
    parts: tuple[int, ...]
    successor_of: str | None
    """The job that this one continues; None: a person typed submit or resume."""

    @property
    def is_array(self) -> bool:
        return len(self.parts) > 1  # an array of one is a plain job (submitit 1.5)

    @property
    def job_parts(self) -> dict[str, int]:
        """The part that each job does. Slurm writes an array task as `<array job id>_<array task id>`."""
        if self.is_array:
            return {f"{self.job_id}_{index}": part for index, part in enumerate(self.parts)}
        return {self.job_id: self.parts[0]}


def token(spec: RunSpec) -> str:
    """How the comments of all jobs of a run begin. A submission adds what no other one has, to find its jobs in the queue."""
    return f"{TOKEN}{spec.run_uuid}:"


def is_ours(spec: RunSpec, job_id: str, job: QueuedJob, known: Collection[str]) -> bool:
    """Whether a job in the queue is the run's. Its id alone does not say so: ids start again with a new cluster.

    Args:
        known: the ids in the run's journal. Such a job is the run's by its name, if the site has replaced its comment.
    """
    words = [word for word in job.comment.split() if word.startswith(TOKEN)]
    if words:
        return any(word.startswith(token(spec)) for word in words)
    return job_id in known and job.name.startswith(f"{spec.name}-")


def submissions(entries: list[Entry]) -> list[Submission]:
    """All submissions, oldest first."""
    return [_submission(entry) for entry in only(entries, events.Submitted)]


def current(entries: list[Entry], stage: Stage) -> list[Submission]:
    """A stage's submissions since the last submit or resume."""
    since = only(since_typed(entries, stage), events.Submitted)
    return [_submission(entry) for entry in since if entry.stage == stage]


def since_typed(entries: list[Entry], stage: Stage) -> list[Entry]:
    """The entries since the stage was last submitted or resumed. The limits of crashes and timeouts count from there."""
    typed = [index for index, entry in enumerate(entries) if is_typed(entry) and _concerns(entry, stage)]
    if not typed:
        return entries
    first = next(index for index in typed if entries[index].writer == entries[typed[-1]].writer)
    return entries[first:]


def job_ids(entries: list[Entry]) -> list[str]:
    """Every job so far, oldest first; for arrays, every array task."""
    return [job_id for submission in submissions(entries) for job_id in submission.job_parts]


def awaited(entries: list[Entry], stage: Stage) -> list[str]:
    """The jobs that the next stage must wait for: those without a successor, and arrays, because some array tasks go on."""
    return [
        found.job_id for found in current(entries, stage) if found.is_array or not has_successor(entries, found.job_id)
    ]


def has_successor(entries: list[Entry], job_id: str) -> bool:
    return any(submission.successor_of == job_id for submission in submissions(entries))


def part_of(entries: list[Entry], job_id: str) -> int:
    """The part that a job does, by its own entries or by its submission."""
    said = [entry.part for entry in only(entries, events.StageStarted) if entry.job_id == job_id]
    submitted = [found.job_parts[job_id] for found in submissions(entries) if job_id in found.job_parts]
    return [*said, *submitted, 0][0]


def is_cancelled(entries: list[Entry]) -> bool:
    """Whether the last command was `regrow cancel`, or Ctrl-C in its terminal, without a submit or resume since."""
    typed = [entry for entry in entries if isinstance(entry, events.CancelRequested) or is_typed(entry)]
    return bool(typed) and isinstance(typed[-1], events.CancelRequested)


def is_typed(entry: Entry) -> bool:
    """Whether an entry comes from submit or resume: to Slurm, one entry per stage; on this machine, one for all stages."""
    match entry:
        case events.Foreground() | events.Submitted(successor_of=None):
            return True
        case _:
            return False


def _concerns(entry: Entry, stage: Stage) -> bool:
    """Whether the command behind the entry starts the stage. In the foreground it starts all unfinished stages."""
    return not isinstance(entry, events.Submitted) or entry.stage == stage


def _submission(entry: events.Submitted) -> Submission:
    return Submission(entry.stage, entry.job_id, entry.parts, entry.successor_of)
