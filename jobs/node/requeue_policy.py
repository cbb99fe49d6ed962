"""Whether a job is brought back, and by whom: a table. Pure."""

from dataclasses import dataclass
from typing import Literal

from callbacks.shared.events import Action as Action
from callbacks.shared.events import Cause as Cause
from jobs.slurm.answers import JobRecord

OWN_FAULT: frozenset[Cause] = frozenset({"crashed", "timed_out", "expired"})
FINAL: frozenset[Cause] = frozenset({"cancelled", "requeued", "evicted", "expired"})
"""Causes that Slurm has already decided. They count more than an earlier cause, or than how the attempt ended."""
Fate = Literal["as it exits", "requeued", "ended"]
"""What Slurm does with a job that leaves by itself: the exit code counts; Slurm requeues it; Slurm ends it as PREEMPTED."""
NEAR_SECONDS = 60
"""Slurm may send the warning before the time limit this much too early (sbatch(1), --signal)."""


@dataclass(frozen=True)
class Situation:
    """What the decision depends on, besides the cause."""

    crashes: int = 1
    """Attempts of this stage that crashed or were not started, this one included."""
    max_crashes: int = 3
    timeouts: int = 1
    max_timeouts: int = 20
    is_stuck: bool = False
    """The previous attempt also ended by its own fault, and no step was saved since."""
    has_slurm: bool = True
    """The job is a Slurm job, not a process on this machine."""
    can_ask: bool = True
    """scontrol is on the node."""
    site_requeues: bool = True
    """The partition's PreemptMode is REQUEUE."""
    requeueable: bool = True
    """The job's own Requeue flag: set by `--requeue`, or by JobRequeue if a site forbids the option."""
    prefer_successor: bool = False
    when_it_leaves: Fate = "as it exits"
    """What Slurm does with the job if it leaves now."""


@dataclass(frozen=True)
class Decision:
    """What the attempt does, and why."""

    action: Action
    reason: str


def decide(cause: Cause, s: Situation) -> Decision:
    """What an attempt does that ends for this cause. The first case that fits counts."""
    match cause:
        case "finished":
            return Decision("exit", "the work is done")
        case "cancelled":
            return Decision("exit", "the job was cancelled, and is not brought back")
        case "superseded":
            return Decision("exit", "another attempt works on this run")
        case "requeued":
            return Decision("exit", "Slurm has requeued the job already")
        case "config":
            return Decision("fail", "another attempt would fail as well")
        case "unsaved":
            return Decision("fail", "a checkpoint could not be written; hint: make room, then regrow resume RUN")
        case "crashed" | "not_started" if s.crashes > s.max_crashes:
            limit = f"regrow.requeue.max_crashes: {s.max_crashes}"
            return Decision("fail", f"{limit}, and the stage has crashed {s.crashes} times")
        case "timed_out" | "expired" if s.timeouts > s.max_timeouts:
            limit = f"regrow.requeue.max_timeouts: {s.max_timeouts}"
            return Decision("fail", f"{limit}, and the stage has timed out {s.timeouts} times")
        case "crashed" | "timed_out" | "expired" if s.is_stuck:
            return Decision("fail", "two attempts in a row ended without a new step")
        case "crashed" if not s.has_slurm:
            return Decision("fail", "the process on this machine failed")
        case _ if not s.has_slurm:
            return Decision("fail", "the run was stopped; hint: regrow resume RUN")
        case "unknown" if s.when_it_leaves == "requeued":
            return Decision(
                "leave", "Slurm does not say what the signal means; if it means preemption, Slurm requeues the job"
            )
        case "unknown" if s.site_requeues:
            return Decision("stay", "Slurm does not say what the signal means; Slurm requeues the job when it kills it")
        case "unknown":
            return Decision("fail", "Slurm does not say what the signal means; hint: regrow resume RUN")
        case _:
            return _brought_back(cause, s)


def _brought_back(cause: Cause, s: Situation) -> Decision:
    """How a job comes back. The first case that fits counts."""
    match cause:
        case _ if s.when_it_leaves == "requeued" and not (s.prefer_successor and s.can_ask):
            return Decision("leave", "its work is saved; Slurm requeues a job that leaves in its grace time")
        case "preempted" if not s.can_ask and s.site_requeues:
            return Decision("stay", "no scontrol on the node; Slurm requeues the job when it kills it")
        case _ if not s.can_ask:
            return Decision("fail", "no scontrol on the node to requeue the job; hint: regrow resume RUN")
        case "evicted":
            return Decision(
                "successor", "preempted without grace time, and the site cancels preempted jobs: this job is over"
            )
        case "expired":
            return Decision("successor", "the time limit is reached: this job is over")
        case _ if not s.requeueable:
            return Decision("successor", "this job cannot be requeued")
        case _ if s.prefer_successor:
            return Decision("successor", "regrow.requeue.prefer: successor")
        case _ if s.when_it_leaves == "ended":
            return Decision("successor", "Slurm ends a job that leaves in its grace time")
        case _:
            return Decision("requeue", "its work is saved; the next attempt continues it")


def stop_cause(
    record: JobRecord | None,
    restart_count: int,
    *,
    now: float,
    ends_at: float | None,
    warning: float,
    is_warning: bool = False,
) -> Cause:
    """Why an attempt must stop, by the job's own record.

    Args:
        record: Slurm's record of the job; None: Slurm cannot be asked.
        restart_count: how many times this job was requeued before this attempt.
        ends_at: when the time limit is reached, seconds since the epoch, by the stage's own clock; None: unknown.
        warning: seconds before the time limit at which Slurm warns.
        is_warning: the signal can only be this warning, because the site's preemptions send only TERM.
    """
    is_near = (record and record.end_time) or ends_at
    is_last_call = is_near is not None and is_near - now <= warning + NEAR_SECONDS
    if record is None:
        return "timed_out" if is_last_call or is_warning else "unknown"
    if record.restarts > restart_count:
        return "requeued"
    if not record.has_ended:
        return "preempted" if record.preempt_time else "timed_out" if is_last_call else "signalled"
    end, limit = record.end_time or now, record.limit_end
    if record.preempt_time and end - record.preempt_time <= 1:
        return "evicted"  # scancel within the grace time ends the job later than that (observed, 22.05)
    return "expired" if limit and end >= limit else "cancelled"
