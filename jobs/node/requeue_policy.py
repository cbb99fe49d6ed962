"""Who brings a job back, and whether at all: a table. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jobs.slurm.commands import JobRecord

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
Action = Literal["exit", "requeue", "successor", "stay", "fail"]
OWN_FAULT: frozenset[Cause] = frozenset({"crashed", "timed_out", "expired"})
FINAL: frozenset[Cause] = frozenset({"cancelled", "requeued", "evicted", "expired"})
"""What Slurm has decided about the job already: it counts more than what was known before, or how the attempt ended."""
NEAR_SECONDS = 60
"""Slurm may send the warning before the time limit so much early (sbatch(1), --signal)."""


@dataclass(frozen=True)
class Situation:
    """What the decision depends on, beside the cause."""

    crashes: int = 1
    """Attempts of this stage that crashed, this one included."""
    max_crashes: int = 3
    timeouts: int = 1
    max_timeouts: int = 20
    is_stuck: bool = False
    """The attempt before ended by its own fault too, and no step was saved since."""
    has_slurm: bool = True
    """The job is Slurm's, not a process of this machine."""
    can_ask: bool = True
    """scontrol is on the node."""
    site_requeues: bool = True
    """PreemptMode of the partition is REQUEUE."""
    requeueable: bool = True
    """The job's own Requeue flag: `--requeue`, or JobRequeue where a site forbids the option."""
    prefer_successor: bool = False


@dataclass(frozen=True)
class Decision:
    """What is done, and why."""

    action: Action
    reason: str


@dataclass(frozen=True)
class _Row:
    causes: frozenset[Cause] | None
    """None: any."""
    when: Callable[[Situation], bool]
    action: Action
    reason: str


def _row(causes: str, when: Callable[[Situation], bool], action: Action, reason: str) -> _Row:
    return _Row(frozenset(causes.split()) if causes != "*" else None, when, action, reason)  # type: ignore[arg-type]


def _always(situation: Situation) -> bool:
    return True


TABLE: tuple[_Row, ...] = (
    _row("finished", _always, "exit", "the work is done"),
    _row("cancelled", _always, "exit", "the job was cancelled, and is not brought back"),
    _row("superseded", _always, "exit", "another attempt works on this run"),
    _row("requeued", _always, "exit", "Slurm has requeued the job already"),
    _row("config", _always, "fail", "another attempt would fail as well"),
    _row("unsaved", _always, "fail", "a checkpoint could not be written; make room, then type: regrow resume"),
    _row("crashed", lambda s: s.crashes > s.max_crashes, "fail",
         "regrow.requeue.max_crashes: {max_crashes}, and it has crashed {crashes} times"),
    _row("timed_out expired", lambda s: s.timeouts > s.max_timeouts, "fail",
         "regrow.requeue.max_timeouts: {max_timeouts}, and it has timed out {timeouts} times"),
    _row("crashed timed_out expired", lambda s: s.is_stuck, "fail", "two attempts in a row ended without a new step"),
    _row("crashed", lambda s: not s.has_slurm, "fail", "the process on this machine failed"),
    _row("*", lambda s: not s.has_slurm, "fail", "stopped; `regrow resume` goes on from here"),
    _row("unknown", lambda s: s.site_requeues, "stay",
         "Slurm does not say what the signal means: it requeues the job itself when it kills it"),
    _row("unknown", _always, "fail", "Slurm does not say what the signal means; type: regrow resume"),
    _row("preempted", lambda s: not s.can_ask and s.site_requeues, "stay",
         "no scontrol on the node: Slurm requeues the job when it kills it"),
    _row("*", lambda s: not s.can_ask, "fail", "no scontrol on the node to requeue the job with; type: regrow resume"),
    _row("evicted", _always, "successor", "preempted without grace, where the site cancels: this job is over"),
    _row("expired", _always, "successor", "its time limit is reached: this job is over"),
    _row("*", lambda s: not s.requeueable, "successor", "the job may not be requeued"),
    _row("*", lambda s: s.prefer_successor, "successor", "regrow.requeue.prefer: successor"),
    _row("*", _always, "requeue", "the work is not done"),
)  # fmt: skip
"""The first row that fits decides."""


def decide(cause: Cause, situation: Situation) -> Decision:
    """What an attempt does that ends for this cause."""
    for row in TABLE:
        if (row.causes is None or cause in row.causes) and row.when(situation):
            return Decision(row.action, row.reason.format(**vars(situation)))
    raise AssertionError("the last row fits always")


def stop_cause(
    record: JobRecord | None,
    restart_count: int,
    *,
    now: float,
    ends_at: float | None,
    warning: float,
    is_warning: bool = False,
) -> Cause:
    """What a signal means, by the job's own record.

    Args:
        record: None where nobody can be asked.
        restart_count: how often this job was requeued before this attempt.
        ends_at: when the time limit is reached, as far as the stage itself knows, seconds since the epoch.
        warning: seconds before the time limit at which Slurm warns.
        is_warning: the signal can only be that warning: at this site preemptions come with TERM alone.
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
        return "evicted"  # scancel within the grace ends it later than that (observed, 22.05)
    return "expired" if limit and end >= limit else "cancelled"
