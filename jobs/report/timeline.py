"""The attempts of a run over time, and where the time went: the data for the page's bars. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry
from jobs.history.spent import Spent
from jobs.history.status import duration
from jobs.history.time_spent import AttemptTimes
from jobs.report.endings import ENDINGS, Look, with_running
from jobs.spec.stages import Stage

KINDS = {
    "queued": "waiting for the start; not allocated",
    "starting": "loading imports, model, data and checkpoint",
    "productive": "steps that count, answers, and all the work of prepare",
    "replayed": "steps that a later attempt did again",
    "evaluating": "evaluations during the training",
    "saving": "writing checkpoints",
    "leaving": "from the last step to the end of the attempt",
    "suspended": "Slurm had suspended the job; not allocated",
}
MOST_ROWS = 12
"""Most attempts of a stage with a row of their own: first those that did not finish, then the earliest."""
TIME_STEPS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 4 * 3600, 12 * 3600, 86400, 2 * 86400, 7 * 86400)
"""Seconds between two ticks of the time axis."""
MOST_TICKS = 6
LAST_TICK = 81
"""A tick further right, in percent of the width, has no label: a phone would cut it off."""


@dataclass(frozen=True)
class Bar:
    """A piece of a row; start and width in percent of the row's width."""

    kind: str
    start: float
    width: float
    text: str


@dataclass(frozen=True)
class Row:
    """One attempt, or all other attempts of a stage together."""

    label: str
    look: Look
    ending: str
    facts: tuple[str, ...]
    """Job, node, steps and times as text."""
    spent: Spent
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Timeline:
    """All rows over one span of time."""

    began: str
    ended: str
    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, str], ...]
    """For each tick its place, in percent of the width, and its label."""


def part_names(entries: Sequence[Entry]) -> dict[int, str]:
    """The name of each part of an evaluation that has begun, for example `final 1/4` for the first of four shards."""
    began = only(entries, events.PartBegan)
    return {entry.part: f"{entry.model} {entry.shard + 1}/{entry.shards}" for entry in began}


def timeline(attempts: Sequence[AttemptTimes], status: str, parts: Mapping[int, str]) -> Timeline:
    """The attempts by stage and part, in order of their start, each with its waiting and its running time.

    Args:
        attempts: not empty.
        parts: the names of the evaluation's parts.
    """
    first = min(each.started_at - each.spent.queued for each in attempts)
    span = first, max(first + 1.0, *(each.ended_at for each in attempts))
    endings = with_running(attempts, status)
    rows: list[Row] = []
    for stage in dict.fromkeys(each.stage for each in attempts):
        rows += _rows([each for each in attempts if each.stage == stage], endings, parts, span)
    return Timeline(clock(span[0]), clock(span[1]), tuple(rows), tuple(_ticks(span)))


def _rows(
    attempts: Sequence[AttemptTimes], endings: Mapping[str, str], parts: Mapping[int, str], span: tuple[float, float]
) -> Iterator[Row]:
    """The rows of one stage."""
    labels = _labels(attempts, parts)
    by_interest = sorted(attempts, key=lambda each: endings[each.name] == "finished")  # stable: the earliest first
    shown = {each.name for each in by_interest[:MOST_ROWS]}
    for each in sorted(attempts, key=lambda each: each.part):
        if each.name in shown:
            yield _row(each, labels[each.name], endings[each.name], span)
    if others := [each for each in attempts if each.name not in shown]:
        yield _others(others, endings, span)


def _labels(attempts: Sequence[AttemptTimes], parts: Mapping[int, str]) -> dict[str, str]:
    """Name of each attempt → its label. If a part has only one attempt, the label has no attempt number."""
    goes, labels = Counter(each.part for each in attempts), {}
    gone: Counter[int] = Counter()
    for each in attempts:
        gone[each.part] += 1
        part = f" {parts.get(each.part, f'part {each.part}')}" if each.stage == "evaluate" else ""
        labels[each.name] = f"{each.stage}{part}" + (f", attempt {gone[each.part]}" if goes[each.part] > 1 else "")
    return labels


def _row(each: AttemptTimes, label: str, ending: str, span: tuple[float, float]) -> Row:
    look, words = ENDINGS[ending]
    waited, ran = duration(each.spent.queued), duration(each.ended_at - each.started_at)
    steps = () if each.first_step is None else (f"steps {each.first_step:,} to {each.last_step:,}",)
    asked = each.started_at - each.spent.queued
    bars = (
        Bar("queued", *_place(asked, each.started_at, span), f"waited {waited}, until {clock(each.started_at)}"),
        Bar(look, *_place(each.started_at, each.ended_at, span), f"{words} after {ran}, {clock(each.ended_at)}"),
    )
    facts = (f"job {each.job_id}", each.host, *steps, f"waited {waited}", f"ran {ran}")
    return Row(label, look, words, facts, each.spent, bars)


def _others(attempts: Sequence[AttemptTimes], endings: Mapping[str, str], span: tuple[float, float]) -> Row:
    """One row for all attempts that have no row of their own."""
    counts = Counter(ENDINGS[endings[each.name]][1] for each in attempts)
    spent = sum((each.spent for each in attempts), Spent())
    start, end = min(each.started_at for each in attempts), max(each.ended_at for each in attempts)
    told = ", ".join(f"{count:,} {words}" for words, count in counts.items())
    bar = Bar("others", *_place(start, end, span), f"from {clock(start)} to {clock(end)}")
    facts = (f"waited {duration(spent.queued)} and ran {duration(spent.allocated)} in total",)
    stage: Stage = attempts[0].stage
    return Row(f"{stage}, {len(attempts):,} more attempts", "finished", told, facts, spent, (bar,))


def _place(start: float, end: float, span: tuple[float, float]) -> tuple[float, float]:
    whole = span[1] - span[0]
    return round(100 * (start - span[0]) / whole, 2), round(max(0.0, 100 * (end - start) / whole), 2)


def _ticks(span: tuple[float, float]) -> Iterator[tuple[float, str]]:
    """Round times of day, in UTC; with the date if they are far apart."""
    whole = span[1] - span[0]
    step = next((step for step in TIME_STEPS if whole / step <= MOST_TICKS), int(whole / MOST_TICKS))
    form = "%H:%M:%S" if step < 60 else "%H:%M" if step < 43200 else "%m-%d %H:%M" if step < 86400 else "%m-%d"
    for count in range(int(span[0] // step) + 1, int(span[1] // step) + 1):
        at, _ = _place(count * step, 0, span)
        if at <= LAST_TICK:
            yield at, f"{datetime.fromtimestamp(count * step, UTC):{form}}"


def shares(spent: Spent) -> Iterator[Bar]:
    """The pieces of a bar, one for each kind of spent time."""
    whole, start = sum(vars(spent).values()) or 1.0, 0.0
    for each in fields(Spent):
        seconds = getattr(spent, each.name)
        width = 100 * seconds / whole
        if width > 0:
            yield Bar(each.name, round(start, 2), round(width, 2), f"{each.name}: {duration(seconds)}, {width:.1f} %")
        start += width


def clock(time: float) -> str:
    """Seconds since the epoch as a date and time in UTC."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"
