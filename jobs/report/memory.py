"""Memory and use of the machine: over time, as sampled during the run, and the peaks. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry
from jobs.report.charts import Chart, Point, Series

MEGABYTE = 1e6 / 2**30
"""In GiB. A megabyte in MLflow's system metrics is a million bytes."""
NODE, CPU = "system/system_memory_usage_megabytes", "system/cpu_utilization_percentage"
UNITS = (("days", 86400 * 3), ("hours", 3600 * 2), ("minutes", 0))
"""Units of the time axis, each with the least number of seconds for which it is used."""
SECONDS = {"days": 86400, "hours": 3600, "minutes": 60}


@dataclass(frozen=True)
class Peak:
    """A peak of memory in use."""

    what: str
    gib: float
    where: str
    """The attempt's name, which is also the name of its log."""


def system_charts(entries: list[Entry], submitted_at: float) -> list[Chart]:
    """The nodes' memory and use over the time since submission. Charts without data are left out."""
    sampled = only(entries, events.System)
    memory = {key: _gpu(key) for key in _gpu_keys(sampled, "_memory_usage_megabytes")}
    use = {CPU: "CPU"} | {key: _gpu(key) for key in _gpu_keys(sampled, "_utilization_percentage")}
    charts = [
        _over_time("Memory of the node, GiB", sampled, {NODE: "in use"}, submitted_at, MEGABYTE),
        _over_time("Memory of the GPUs, GiB", sampled, memory, submitted_at, MEGABYTE),
        _over_time("Use, %", sampled, use, submitted_at, 1.0, 100.0),
    ]
    return [chart for chart in charts if chart.drawn]


def peaks(entries: list[Entry]) -> list[Peak]:
    """The highest peak of each kind. A value of 0, as machines without a GPU report it, is no peak."""
    highest: dict[str, Peak] = {}
    for what, gib, entry in _said(entries):
        if gib > highest.get(what, Peak("", 0.0, "")).gib:
            highest[what] = Peak(what, gib, entry.attempt_name)
    return list(highest.values())


def _said(entries: list[Entry]) -> Iterator[tuple[str, float, Entry]]:
    """All values of memory in use: what, GiB, and the entry."""
    for entry in entries:
        match entry:
            case events.System():
                for key, value in entry.values.items():
                    if key == NODE or (key.startswith("system/gpu_") and key.endswith("_memory_usage_megabytes")):
                        yield ("node, sampled" if key == NODE else f"{_gpu(key)}, sampled"), value * MEGABYTE, entry
            case events.Metrics():
                for key, value in entry.values.items():
                    if key.startswith("memory/"):
                        name = key.removeprefix("memory/").removesuffix("_GiB").replace("_", " ")
                        yield f"training: {name}", value, entry
            case events.PartGenerated(peak_memory_gib=float(peak)):
                yield "evaluation: peak of a job", peak, entry


def _over_time(
    title: str, sampled: list[events.System], labels: Mapping[str, str], since: float, factor: float, most: float = 0.0
) -> Chart:
    """A chart from zero up to the highest value, or to `most`."""
    unit = _unit([entry.time - since for entry in sampled])
    series = [_series(label, key, sampled, since, SECONDS[unit], factor) for key, label in labels.items()]
    highest = max([most, *(y for each in series for _, y in each.finite)])
    return Chart(title, f"{unit} since submission", series, y_range=(0.0, highest * 1.04 or 1.0))


def _series(label: str, key: str, sampled: list[events.System], since: float, seconds: int, factor: float) -> Series:
    """A line with a break between attempts, because there are no samples between them."""
    points: list[Point] = []
    breaks: set[int] = set()
    attempt = ""
    for entry in sampled:
        if entry.attempt_name != attempt:
            breaks.add(len(points))
            attempt = entry.attempt_name
        points.append(((entry.time - since) / seconds, entry.values.get(key, math.nan) * factor))
    return Series(label, points, breaks=frozenset(breaks))


def _unit(times: Sequence[float]) -> str:
    longest = max([0.0, *times])  # a node's clock may be behind that of the login node
    return next(unit for unit, least in UNITS if longest >= least)


def _gpu_keys(sampled: list[events.System], ending: str) -> list[str]:
    keys = {key for entry in sampled for key in entry.values}
    return sorted(key for key in keys if key.startswith("system/gpu_") and key.endswith(ending))


def _gpu(key: str) -> str:
    return f"GPU {key.removeprefix('system/gpu_').partition('_')[0]}"
