"""How attempts end, in words and in looks. Pure."""

from collections.abc import Sequence
from typing import Literal

from jobs.history.time_spent import AttemptTimes

Look = Literal["finished", "taken", "broken", "open"]
"""finished: through; taken: stopped from outside, goes on later; broken: by a fault; open: it still runs."""
PREEMPTED = frozenset({"preempted", "evicted", "requeued"})
"""Causes by which Slurm gives a node to another job."""
ENDINGS: dict[str, tuple[Look, str]] = {
    "finished": ("finished", "finished"),
    "preempted": ("taken", "preempted"),
    "evicted": ("taken", "preempted"),
    "requeued": ("taken", "preempted"),
    "timed_out": ("taken", "timed out"),
    "expired": ("taken", "timed out"),
    "signalled": ("taken", "stopped by a signal"),
    "cancelled": ("taken", "cancelled"),
    "superseded": ("taken", "superseded"),
    "crashed": ("broken", "crashed"),
    "config": ("broken", "config error"),
    "unsaved": ("broken", "not saved"),
    "unknown": ("broken", "gone without a word"),
    "running": ("open", "still running"),
}
"""Ending as `AttemptTimes` has it, or `running` → look, words."""


def with_running(attempts: Sequence[AttemptTimes], status: str) -> dict[str, str]:
    """Name of each attempt → its key in ENDINGS: of a run that goes on, the newest of a part is not gone but at work."""
    newest = {(each.stage, each.part): each.name for each in attempts}
    return {
        each.name: "running"
        if status == "RUNNING" and each.ending == "unknown" and newest[each.stage, each.part] == each.name
        else each.ending
        for each in attempts
    }
