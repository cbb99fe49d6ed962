"""How an attempt leaves: look, decide by the table, then act; again, if Slurm's controller did not answer."""

import time
from time import monotonic

from callbacks.shared import events
from jobs.history.submissions import is_cancelled
from jobs.node.attempt import Attempt
from jobs.node.children import next_signal
from jobs.node.requeue_policy import FINAL, OWN_FAULT, Cause, Decision, decide
from jobs.node.successors import free_dependents, submit_successor
from jobs.node.view import View, look
from jobs.slurm.patience import Patience
from jobs.spec.errors import NoAnswer

COUNTED = OWN_FAULT | {"not_started"}
"""Causes whose number is limited, and which must be in the journal to be counted."""
LEAST_PATIENCE_SECONDS = 600
LATE_SECONDS = 600
"""Slurm may kill a job so much later than at the end of its grace time; the grace time itself may also be unknown."""


def leave(attempt: Attempt, cause: Cause, message: str = "") -> Decision:
    """Write into the journal why the attempt ends, and bring the job back if the decision says so.

    A controller that does not answer is asked again until the job's time limit. It may carry out later what it was asked, so the
    attempt looks and decides anew each time.
    """
    patience, said = _patience(attempt), set[Decision]()
    while True:
        try:
            return _leave(attempt, cause, message, patience, said)
        except NoAnswer as error:
            try:
                patience.pause(error)
            except NoAnswer:
                return Decision("fail", f"Slurm does not answer: {error}; hint: regrow resume RUN")


def _leave(attempt: Attempt, cause: Cause, message: str, patience: Patience, said: set[Decision]) -> Decision:
    """Look, decide and act once. `said`: the decisions that stand in the journal."""
    view = look(attempt)
    cause = final_cause(attempt, cause, view)
    situation = view.situation(cause)
    decision = decide(cause, situation)
    if decision not in said:
        left = events.Left(stage=view.stage, part=view.part, cause=cause, action=decision.action, reason=decision.reason,
                           message=message, step=view.mark)  # fmt: skip
        if not attempt.say(left) and cause in COUNTED:
            decision = Decision("fail", "the journal cannot be written, so that crashes cannot be counted")
        said.add(decision)
    release_lease(attempt)
    is_over = view.record is not None and view.record.has_ended
    can_requeue = situation.requeueable and not is_over
    if decision.action == "requeue":
        decision, can_requeue = _requeue(attempt, decision, cause == "preempted" and situation.site_requeues), False
    if decision.action == "successor" and not view.has_successor and (refused := submit_successor(attempt, patience)):
        decision = _requeue_instead(attempt, refused) if can_requeue else refused
    is_another_s = cause == "superseded" and not view.has_successor  # the attempt that works may have the same job
    if decision.action in ("exit", "fail", "successor") and not is_over and not is_another_s:
        _forbid_requeue(attempt)
    if decision.action == "stay":
        _stay(_grace_seconds(attempt))
    return decision


def release_lease(attempt: Attempt) -> None:
    try:
        if attempt.lease:
            attempt.lease.release()
    except OSError as error:  # the next attempt waits until the lease is stale
        print(f"the lease cannot be released: {error}", flush=True)


def _patience(attempt: Attempt) -> Patience:
    """Until the job's time limit, and for ten minutes at least: who could kill the job earlier does not answer."""
    limit = attempt.spec.profile.parameters(attempt.stage).get("timeout_min")
    left = attempt.started_at + 60 * float(limit) - time.time() if limit else LEAST_PATIENCE_SECONDS

    def tell(error: str, pause: float) -> None:
        print(f"Slurm does not answer; the next try is in {pause:.0f} s: {error}", flush=True)
        attempt.say(events.SlurmSilent(error=error, pause=pause))

    return Patience(max(left, LEAST_PATIENCE_SECONDS), tell)


def finish(attempt: Attempt, was_killed: bool = False) -> None:
    """The stage's work is done: let the jobs that wait for this one start, whatever state Slurm gives it.

    If the job is preempted at its end, Slurm ends it as PREEMPTED, or runs it once more. Then jobs that wait for its success
    would be cancelled, or would wait for one more start.

    Args:
        was_killed: the stage's process did not end by itself, so that its job fails.
    """
    if was_killed or _may_count_as_preempted(attempt):
        free_dependents(attempt)
        _forbid_requeue(attempt)


def _forbid_requeue(attempt: Attempt) -> None:
    """Keep Slurm from starting a job again: one that left in its grace time, in this attempt or in an earlier one; and, where
    requeues are expedited, one that ends with an error: Slurm would requeue and hold it."""
    if not (_may_count_as_preempted(attempt) or _is_requeued_after_errors(attempt)):
        return
    try:
        error = attempt.cluster.forbid_requeue(attempt.job_id)
    except NoAnswer as silence:
        error = str(silence)
    if error:
        print(f"Slurm may start this job once more, which then ends at once: {error}", flush=True)


def _may_count_as_preempted(attempt: Attempt) -> bool:
    """Whether Slurm may take the end of this job for a preemption."""
    site = attempt.spec.site
    return attempt.in_slurm and site is not None and site.leaving_is_preemption and site.preempts(attempt.stage)


def _is_requeued_after_errors(attempt: Attempt) -> bool:
    return attempt.in_slurm and attempt.spec.site is not None and attempt.spec.site.expedited_requeue


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
        attempt.say(events.RequeueFailed(error=error))
        return Decision("stay" if may_stay else "successor", error)
    attempt.say(events.Requeued(job_id=attempt.job_id, by="stage"))
    return decision


def _requeue_instead(attempt: Attempt, refused: Decision) -> Decision:
    """Requeue the job, since Slurm accepts no new one, for example because the user may have no more jobs."""
    decision = Decision("requeue", f"Slurm refuses a new job: {refused.reason}")
    return decision if _requeue(attempt, decision, may_stay=False) == decision else refused


def _grace_seconds(attempt: Attempt) -> int:
    """The longest time from the signal to the kill."""
    site = attempt.spec.site
    return site.grace_seconds(attempt.stage) + site.kill_wait_seconds if site else 0


def _stay(grace_seconds: int) -> None:
    """Wait until Slurm kills the job: Slurm does not requeue a job that exits within its grace time."""
    deadline = monotonic() + grace_seconds + LATE_SECONDS
    while monotonic() < deadline:
        next_signal(deadline - monotonic())
