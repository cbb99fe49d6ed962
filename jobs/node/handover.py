"""How an attempt leaves: why, by the job's own record; what follows, by the table; and that done."""

from time import monotonic

from callbacks.shared.journal import Entry, read_journal
from jobs.history.progress import reached
from jobs.history.submissions import awaited, current, has_successor, is_cancelled, since_typed, submissions
from jobs.node.attempt import Attempt, Stopped
from jobs.node.children import next_signal
from jobs.node.requeue_policy import FINAL, OWN_FAULT, Cause, Decision, Situation, decide
from jobs.slurm import commands as slurm
from jobs.slurm.sbatch import submit_to_slurm
from jobs.spec.errors import ConfigError
from jobs.spec.stages import dependency

STAY_SECONDS = 600


def leave(attempt: Attempt, cause: Cause, message: str = "") -> Decision:
    """Say in the journal why the attempt ends, and see to it that the work goes on, where it shall."""
    entries = read_journal(attempt.spec.paths.journal)
    cause = "cancelled" if is_cancelled(entries) and cause != "finished" else _overruled(attempt, cause)
    decision = decide(cause, situation(attempt, cause, entries))
    mark = reached(entries, attempt.stage, attempt.part)
    attempt.journal.event("left", stage=attempt.stage, part=attempt.part, cause=cause, action=decision.action,
                          reason=decision.reason, message=message, step=mark)  # fmt: skip
    if attempt.lease:
        attempt.lease.release()
    if decision.action == "requeue" and (error := slurm.requeue(attempt.job_id)):
        attempt.journal.event("requeue_failed", error=error)
        may_stay = cause == "preempted" and situation(attempt, cause, entries).site_requeues
        decision = Decision("stay" if may_stay else "successor", error)
    elif decision.action == "requeue":
        attempt.journal.event("requeued", job_id=attempt.job_id, by="stage")
    if decision.action == "successor" and not has_successor(entries, attempt.job_id):
        decision = submit_successor(attempt) or decision
    if decision.action == "stay":
        _stay()
    return decision


def prepare_to_leave(attempt: Attempt) -> None:
    """A job that is over has seconds left: its successor is submitted before the save, which may not get through."""
    if attempt.stop_cause not in ("evicted", "expired"):
        return
    entries = read_journal(attempt.spec.paths.journal)
    decision = decide(attempt.stop_cause, situation(attempt, attempt.stop_cause, entries))
    if decision.action == "successor" and not has_successor(entries, attempt.job_id) and not is_cancelled(entries):
        submit_successor(attempt)


def rejoin(attempt: Attempt) -> None:
    """What a job does first: end if somebody has cancelled the run meanwhile; if it succeeds another job, see to it that what
    waited for that one waits for it, though that one may have been killed before it could.

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
    """A new job for the same stage, which starts when this one has ended; what waited for this one waits for that one.

    Returns:
        What else is to be done, if Slurm refuses the new job; None: it is submitted.
    """
    try:
        after = f"afterany:{attempt.job_id}"
        ((job_id, _),) = submit_to_slurm(attempt.spec, attempt.stage, [attempt.job], after)
    except ConfigError as refusal:
        attempt.journal.event("successor_failed", error=str(refusal))
        return Decision("fail", f"{refusal}; type: regrow resume")
    attempt.journal.event("submitted", stage=attempt.stage, parts=[attempt.part], job_id=job_id, after=after,
                          successor_of=attempt.job_id)  # fmt: skip
    move_dependents(attempt)
    return None


def move_dependents(attempt: Attempt) -> None:
    """Let the stage after this one wait for all of this stage's jobs that live.

    Array tasks may do this at the same time, each for a successor of its own: who has written looks again whether the
    journal has more now, so that the last to write knows them all.
    """
    spec, wait_for = attempt.spec, list[str]()
    following = next(iter(spec.stages[spec.stages.index(attempt.stage) + 1 :]), None)
    while following and (now := awaited(entries := read_journal(spec.paths.journal), attempt.stage)) != wait_for:
        wait_for = now
        for dependent in current(entries, following):
            error = slurm.set_dependency(dependent.job_id, dependency(following, wait_for))
            attempt.journal.event("dependent_moved", stage=following, job_id=dependent.job_id, to=wait_for, error=error)


def situation(attempt: Attempt, cause: Cause, entries: list[Entry]) -> Situation:
    """What the journal, the spec and the job's record say beside the cause."""
    spec, record = attempt.spec, slurm.job_record(attempt.job_id) if attempt.in_slurm else None
    left = [entry for entry in since_typed(entries, attempt.stage)
            if entry["event"] == "left" and (entry["stage"], entry["part"]) == (attempt.stage, attempt.part)]  # fmt: skip
    mark = reached(entries, attempt.stage, attempt.part)
    partition = spec.site.partitions.get(attempt.stage) if spec.site else None
    causes = [*(entry["cause"] for entry in left), cause]
    limits = spec.regrow.requeue
    return Situation(
        crashes=causes.count("crashed"),
        max_crashes=limits.max_crashes,
        timeouts=causes.count("timed_out") + causes.count("expired"),
        max_timeouts=limits.max_timeouts,
        is_stuck=bool(left) and {left[-1]["cause"], cause} <= OWN_FAULT and left[-1]["step"] == mark,
        has_slurm=attempt.in_slurm,
        can_ask=slurm.is_reachable(),
        site_requeues=partition is not None and partition.preempt_mode == "REQUEUE",
        requeueable=record.requeueable if record else True,
        prefer_successor=limits.prefer == "successor",
    )


def _overruled(attempt: Attempt, cause: Cause) -> Cause:
    """The cause, after a last look at the record: a job that was cancelled meanwhile is not brought back."""
    if cause == "finished" or not attempt.in_slurm:
        return cause
    now = attempt.cause_now()
    return now if now in FINAL or cause == "unknown" else cause


def _stay() -> None:
    """Wait to be killed: a job that just exits within its grace is over."""
    deadline = monotonic() + STAY_SECONDS
    while monotonic() < deadline:
        next_signal(deadline - monotonic())
