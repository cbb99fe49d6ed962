"""A new job that continues one that is over, and the jobs that must wait for it."""

from callbacks.shared import events
from callbacks.shared.journal import read_journal
from jobs.history.submissions import awaited, current, has_successor, is_cancelled, submissions, token
from jobs.node.attempt import Attempt, Stopped
from jobs.node.requeue_policy import Decision, decide
from jobs.node.view import look
from jobs.slurm.patience import Patience
from jobs.slurm.sbatch import Order, submit_to_slurm
from jobs.spec.errors import ConfigError, NoAnswer
from jobs.spec.stages import AFTER_ANY, Stage, dependency


def prepare_to_leave(attempt: Attempt) -> None:
    """Submit the successor of a job that is over, before its save: the job has only seconds left, and the save may not end."""
    if attempt.stop_cause not in ("evicted", "expired"):
        return
    try:
        view = look(attempt)
        decision = decide(attempt.stop_cause, view.situation(attempt.stop_cause))
        if decision.action == "successor" and not view.has_successor and not is_cancelled(view.entries):
            submit_successor(attempt, Patience(0, lambda error, pause: None))
    except NoAnswer as error:
        print(f"the successor is not submitted yet: {error}", flush=True)  # `leave` tries again


def rejoin(attempt: Attempt) -> None:
    """What a job does first. End, if the run was cancelled meanwhile, or if this job has a successor.

    If this job is a successor, let the jobs that waited for its predecessor wait for this job: the predecessor may have been
    killed before it could do that.

    Raises:
        Stopped: the run is cancelled, or this job has a successor.
    """
    entries = read_journal(attempt.spec.paths.journal)
    if is_cancelled(entries):
        attempt.stop_cause = "cancelled"
        raise Stopped
    if has_successor(entries, attempt.job_id):  # Slurm has started this job once more
        attempt.stop_cause = "superseded"
        raise Stopped
    if any(found.job_id == attempt.job_id and found.successor_of for found in submissions(entries)):
        move_dependents(attempt)


def submit_successor(attempt: Attempt, patience: Patience) -> Decision | None:
    """Submit a new job for the same stage; it starts when this job has ended. Let the jobs that waited for this one wait for it.

    Returns:
        What to do instead, if Slurm refuses the new job; None: it is submitted.

    Raises:
        NoAnswer: the controller does not answer.
    """
    after = f"afterany:{attempt.job_id}"
    order = Order(attempt.stage, [attempt.job], after, f"{token(attempt.spec)}{attempt.stage}:{after}")
    try:
        ((job_id, _),) = submit_to_slurm(attempt.cluster, attempt.spec, order, patience)
    except NoAnswer:
        raise
    except ConfigError as refusal:
        attempt.say(events.SuccessorFailed(error=str(refusal)))
        return Decision("fail", f"{refusal}; hint: regrow resume RUN")
    attempt.say(
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
    following = spec.following(attempt.stage)
    while following and (now := awaited(entries := read_journal(spec.paths.journal), attempt.stage)) != wait_for:
        wait_for = now
        for dependent in current(entries, following):
            _set_dependency(attempt, following, dependent.job_id, wait_for)


def _set_dependency(attempt: Attempt, stage: Stage, job_id: str, wait_for: list[str]) -> None:
    """Let a job of the next stage wait for these jobs; it may be that it starts at once."""
    try:
        error = attempt.cluster.set_dependency(job_id, dependency(stage, wait_for) if wait_for else "")
    except NoAnswer as silence:
        error = str(silence)
    attempt.say(events.DependentMoved(stage=stage, job_id=job_id, to=wait_for, error=error))


def free_dependents(attempt: Attempt) -> None:
    """Let the next stage's jobs, which wait for the success of this job, start now."""
    following = attempt.spec.following(attempt.stage)
    if following and following not in AFTER_ANY:
        for dependent in current(read_journal(attempt.spec.paths.journal), following):
            _set_dependency(attempt, following, dependent.job_id, [])
