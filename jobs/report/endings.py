"""How attempts end: the words and the looks for each ending. Pure."""

from collections.abc import Sequence
from typing import Literal

from jobs.history.time_spent import AttemptTimes

Look = Literal["finished", "taken", "broken", "open"]
"""finished: the work is done; taken: stopped from outside, continued later; broken: ended by a fault; open: still running."""
PREEMPTED = frozenset({"preempted", "evicted", "requeued"})
"""Causes that mean that Slurm gave the node to another job."""
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
    "not_started": ("broken", "not started"),
    "config": ("broken", "config error"),
    "unsaved": ("broken", "not saved"),
    "unknown": ("broken", "ended without a message"),
    "running": ("open", "still running"),
}
"""Ending as in `AttemptTimes`, or `running` → look, words."""


def with_running(attempts: Sequence[AttemptTimes], status: str) -> dict[str, str]:
    """Name of each attempt → its key in ENDINGS. In a running run, the newest attempt of a part without an end is `running`."""
    newest = {(each.stage, each.part): each.name for each in attempts}
    return {
        each.name: "running"
        if status == "RUNNING" and each.ending == "unknown" and newest[each.stage, each.part] == each.name
        else each.ending
        for each in attempts
    }
