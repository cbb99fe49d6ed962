"""How an attempt leaves: why, by the job's own record; what follows, by the table; and that done."""

from time import monotonic

from callbacks.journal import Entry, read_journal
from jobs import slurm
from jobs.attempt import Attempt, Stopped
from jobs.children import next_signal
from jobs.config_error import ConfigError
from jobs.executor import submit_to_slurm
from jobs.requeue import FINAL, OWN_FAULT, Cause, Decision, Situation, decide
from jobs.stages import Stage, dependency, stage_after

STAY_SECONDS = 600


def leave(attempt: Attempt, cause: Cause, message: str = "") -> Decision:
    """Say in the journal why the attempt ends, and see to it that the work goes on, where it shall."""
    entries = read_journal(attempt.spec.paths.journal)
    cause = "cancelled" if is_cancelled(entries) and cause != "finished" else _overruled(attempt, cause)
    decision = decide(cause, situation(attempt, cause, entries))
    attempt.journal.event("left", stage=attempt.stage, cause=cause, action=decision.action, reason=decision.reason,
                          message=message, step=saved_step(entries))  # fmt: skip
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
    if any(
        entry["event"] == "submitted" and entry["job_id"] == attempt.job_id and "successor_of" in entry
        for entry in entries
    ):
        move_dependents(attempt, attempt.job_id)


def is_cancelled(entries: list[Entry]) -> bool:
    """Whether `regrow cancel` was typed, and neither submit nor resume since."""
    typed = [
        entry
        for entry in entries
        if entry["event"] in ("cancel_requested", "submitted") and "successor_of" not in entry
    ]
    return bool(typed) and typed[-1]["event"] == "cancel_requested"


def submit_successor(attempt: Attempt) -> Decision | None:
    """A new job for the same stage, which starts when this one has ended; what waited for this one waits for that one.

    Returns:
        What else is to be done, if Slurm refuses the new job; None: it is submitted.
    """
    try:
        job_id = submit_to_slurm(attempt.spec, attempt.stage, attempt.job, f"afterany:{attempt.job_id}")
    except ConfigError as refusal:
        attempt.journal.event("successor_failed", error=str(refusal))
        return Decision("fail", f"{refusal}; type: regrow resume")
    attempt.journal.event("submitted", stage=attempt.stage, job_id=job_id, after=f"afterany:{attempt.job_id}",
                          successor_of=attempt.job_id)  # fmt: skip
    move_dependents(attempt, job_id)
    return None


def move_dependents(attempt: Attempt, job_id: str) -> None:
    """Let the stage after this one wait for `job_id`."""
    following = stage_after(attempt.stage)
    jobs = job_ids(read_journal(attempt.spec.paths.journal))
    if following and following in jobs:
        error = slurm.set_dependency(jobs[following], dependency(following, job_id))
        attempt.journal.event("dependent_moved", stage=following, job_id=jobs[following], to=job_id, error=error)


def situation(attempt: Attempt, cause: Cause, entries: list[Entry]) -> Situation:
    """What the journal, the spec and the job's record say beside the cause."""
    spec, record = attempt.spec, slurm.job_record(attempt.job_id) if attempt.in_slurm else None
    of_stage = [entry for entry in since_submission(entries, attempt.stage) if entry.get("stage") == attempt.stage]
    left = [entry for entry in of_stage if entry["event"] == "left"]
    partition = spec.site.partitions.get(attempt.stage) if spec.site else None
    causes = [*(entry["cause"] for entry in left), cause]
    limits = spec.regrow.requeue
    return Situation(
        crashes=causes.count("crashed"),
        max_crashes=limits.max_crashes,
        timeouts=causes.count("timed_out") + causes.count("expired"),
        max_timeouts=limits.max_timeouts,
        is_stuck=bool(left) and {left[-1]["cause"], cause} <= OWN_FAULT and left[-1]["step"] == saved_step(entries),
        has_slurm=attempt.in_slurm,
        can_ask=slurm.is_reachable(),
        site_requeues=partition is not None and partition.preempt_mode == "REQUEUE",
        requeueable=record.requeueable if record else True,
        prefer_successor=limits.prefer == "successor",
    )


def since_submission(entries: list[Entry], stage: Stage) -> list[Entry]:
    """The entries since somebody typed submit or resume: budgets start anew there."""
    typed = [index for index, entry in enumerate(entries)
             if entry["event"] == "submitted" and entry["stage"] == stage and "successor_of" not in entry]  # fmt: skip
    return entries[typed[-1] :] if typed else entries


def saved_step(entries: list[Entry]) -> int | None:
    """The newest step that was saved; None: none yet."""
    return max((int(entry["step"]) for entry in entries if entry["event"] == "saved"), default=None)


def job_ids(entries: list[Entry]) -> dict[str, str]:
    """Each stage's newest job."""
    return {entry["stage"]: entry["job_id"] for entry in entries if entry["event"] == "submitted"}


def has_successor(entries: list[Entry], job_id: str) -> bool:
    return any(entry["event"] == "submitted" and entry.get("successor_of") == job_id for entry in entries)


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
