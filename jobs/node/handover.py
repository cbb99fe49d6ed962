"""How an attempt leaves: look once, decide by the table, then act."""

from dataclasses import dataclass
from time import monotonic

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry, read_journal
from jobs.history.progress import reached
from jobs.history.submissions import awaited, current, has_successor, is_cancelled, since_typed, submissions
from jobs.node.attempt import Attempt, Stopped
from jobs.node.children import next_signal
from jobs.node.requeue_policy import FINAL, OWN_FAULT, Cause, Decision, Situation, decide
from jobs.slurm.commands import JobRecord
from jobs.slurm.sbatch import submit_to_slurm
from jobs.spec.errors import ConfigError
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import Stage, dependency

STAY_SECONDS = 600


@dataclass(frozen=True)
class View:
    """Everything that a decision looks at, as known at one moment."""

    spec: RunSpec
    stage: Stage
    part: int
    job_id: str
    entries: list[Entry]
    """The run's journal."""
    record: JobRecord | None
    """Slurm's record of this job; None: it is not a Slurm job, or Slurm cannot be asked."""
    has_slurm: bool
    can_ask: bool

    @property
    def mark(self) -> int | None:
        """How much of the stage's work is saved."""
        return reached(self.entries, self.stage, self.part)

    @property
    def has_successor(self) -> bool:
        return has_successor(self.entries, self.job_id)

    def situation(self, cause: Cause) -> Situation:
        """What the decision depends on, besides the cause."""
        left = [
            entry
            for entry in only(since_typed(self.entries, self.stage), events.Left)
            if (entry.stage, entry.part) == (self.stage, self.part)
        ]
        partition = self.spec.site.partitions.get(self.stage) if self.spec.site else None
        causes = [*(entry.cause for entry in left), cause]
        limits = self.spec.regrow.requeue
        return Situation(
            crashes=causes.count("crashed"),
            max_crashes=limits.max_crashes,
            timeouts=causes.count("timed_out") + causes.count("expired"),
            max_timeouts=limits.max_timeouts,
            is_stuck=bool(left) and {left[-1].cause, cause} <= OWN_FAULT and left[-1].step == self.mark,
            has_slurm=self.has_slurm,
            can_ask=self.can_ask,
            site_requeues=partition is not None and partition.preempt_mode == "REQUEUE",
            requeueable=self.record.requeueable if self.record else True,
            prefer_successor=limits.prefer == "successor",
        )


def look(attempt: Attempt) -> View:
    """Read the journal and ask for the job's record. This is the last look before a job is brought back."""
    return View(
        spec=attempt.spec,
        stage=attempt.stage,
        part=attempt.part,
        job_id=attempt.job_id,
        entries=read_journal(attempt.spec.paths.journal),
        record=attempt.record(),
        has_slurm=attempt.in_slurm,
        can_ask=attempt.cluster.is_reachable(),
    )


def leave(attempt: Attempt, cause: Cause, message: str = "") -> Decision:
    """Write into the journal why the attempt ends, and bring the job back if the decision says so."""
    view = look(attempt)
    cause = final_cause(attempt, cause, view)
    situation = view.situation(cause)
    decision = decide(cause, situation)
    attempt.journal.write(
        events.Left(
            stage=view.stage,
            part=view.part,
            cause=cause,
            action=decision.action,
            reason=decision.reason,
            message=message,
            step=view.mark,
        )
    )
    if attempt.lease:
        attempt.lease.release()
    if decision.action == "requeue":
        decision = _requeue(attempt, decision, may_stay=cause == "preempted" and situation.site_requeues)
    if decision.action == "successor" and not view.has_successor:
        decision = submit_successor(attempt) or decision
    if decision.action == "stay":
        _stay()
    return decision


def final_cause(attempt: Attempt, cause: Cause, view: View) -> Cause:
    """The cause, corrected by the newest facts: a job that was cancelled meanwhile is not brought back."""
    if cause == "finished":
        return cause
    if is_cancelled(view.entries):
        return "cancelled"
    if not view.has_slurm:
        return cause
    now = attempt.cause_by(view.record)
    return now if now in FINAL or cause == "unknown" else cause


def _requeue(attempt: Attempt, decision: Decision, may_stay: bool) -> Decision:
    """Requeue the job. If Slurm refuses, the returned decision says what to do instead.

    Args:
        may_stay: Slurm will requeue the job by itself when it kills it.
    """
    if error := attempt.cluster.requeue(attempt.job_id):
        attempt.journal.write(events.RequeueFailed(error=error))
        return Decision("stay" if may_stay else "successor", error)
    attempt.journal.write(events.Requeued(job_id=attempt.job_id, by="stage"))
    return decision


def prepare_to_leave(attempt: Attempt) -> None:
    """Submit the successor of a job that is over, before its save: the job has only seconds left, and the save may not end."""
    if attempt.stop_cause not in ("evicted", "expired"):
        return
    view = look(attempt)
    decision = decide(attempt.stop_cause, view.situation(attempt.stop_cause))
    if decision.action == "successor" and not view.has_successor and not is_cancelled(view.entries):
        submit_successor(attempt)


def rejoin(attempt: Attempt) -> None:
    """What a job does first. End, if the run was cancelled meanwhile. If this job is a successor, let the jobs that waited for
    its predecessor wait for this job: the predecessor may have been killed before it could do that.

    Raises:
        Stopped: the run is cancelled.
    """
    entries = read_journal(attempt.spec.paths.journal)
    if is_cancelled(entries):
        attempt.stop_cause = "cancelled"
        raise Stopped
    if any(found.job_id == attempt.job_id and found.successor_of for found in submissions(entries)):
        move_dependents(attempt)


def submit_successor(attempt: Attempt) -> Decision | None:
    """Submit a new job for the same stage; it starts when this job has ended. Let the jobs that waited for this one wait for it.

    Returns:
        What to do instead, if Slurm refuses the new job; None: it is submitted.
    """
    try:
        after = f"afterany:{attempt.job_id}"
        ((job_id, _),) = submit_to_slurm(attempt.cluster, attempt.spec, attempt.stage, [attempt.job], after)
    except ConfigError as refusal:
        attempt.journal.write(events.SuccessorFailed(error=str(refusal)))
        return Decision("fail", f"{refusal}; hint: regrow resume RUN")
    attempt.journal.write(
        events.Submitted(
            stage=attempt.stage, parts=(attempt.part,), job_id=job_id, after=after, successor_of=attempt.job_id
        )
    )
    move_dependents(attempt)
    return None


def move_dependents(attempt: Attempt) -> None:
    """Let the next stage wait for all live jobs of this stage.

    Array tasks may do this at the same time, each for its own successor. So each task looks again after its own change,
    until the journal has no newer job. The last one to write then knows all jobs.
    """
    spec, wait_for = attempt.spec, list[str]()
    following = next(iter(spec.stages[spec.stages.index(attempt.stage) + 1 :]), None)
    while following and (now := awaited(entries := read_journal(spec.paths.journal), attempt.stage)) != wait_for:
        wait_for = now
        for dependent in current(entries, following):
            error = attempt.cluster.set_dependency(dependent.job_id, dependency(following, wait_for))
            moved = events.DependentMoved(stage=following, job_id=dependent.job_id, to=wait_for, error=error)
            attempt.journal.write(moved)


def _stay() -> None:
    """Wait until Slurm kills the job: Slurm does not requeue a job that exits within its grace time."""
    deadline = monotonic() + STAY_SECONDS
    while monotonic() < deadline:
        next_signal(deadline - monotonic())
