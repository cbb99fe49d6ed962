"""A run's charts, by its journal. Pure, except for `generation_intervals`, which reads predictions."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from callbacks.shared.journal import Entry, metric_rows
from callbacks.shared.predictions import read_rows
from callbacks.shared.tasks.scorers import scorer_of
from callbacks.shared.tasks.verdict import Scorer
from jobs.evaluation.scores import judge, metric_ratios
from jobs.evaluation.statistics import intervals
from jobs.history.time_spent import AttemptTimes
from jobs.report.charts import Chart, Mark, Point, Series
from jobs.report.endings import ENDINGS, with_running
from jobs.report.labels import answer_scores
from jobs.spec.run_spec import RunSpec

THROUGHPUT = "tokens/train_per_sec_per_gpu"
MOST_PARTS = 12
"""Charts of the parts of metrics, e.g. `gen_f1/<label>`."""
MOST_INTERVALS = 40
"""Intervals are computed for this many newest evaluations; each takes some tenths of a second."""
RESAMPLES = 1000
Intervals = Mapping[int, Mapping[str, tuple[float, float]]]
"""Step → metric → low, high (95 %)."""
Rows = Mapping[int, Mapping[str, float]]
"""Step → metric → value."""


def training_charts(entries: list[Entry], marks: Sequence[Mark]) -> list[Chart]:
    """Loss, learning rate, gradient norm, throughput. Charts without data are left out."""
    rows = metric_rows(entries)
    losses = [Series("training", _points(rows, "loss")), Series("validation", _points(rows, "eval_loss"))]
    charts = [
        Chart("Loss", "step", losses, marks),
        Chart("Learning rate", "step", [Series("learning rate", _points(rows, "learning_rate"))], marks),
        Chart("Gradient norm", "step", [Series("gradient norm", _points(rows, "grad_norm"))], marks, False),
        Chart("Tokens/s of a GPU", "step", [Series("tokens/s", _points(rows, THROUGHPUT))], marks, False),
    ]
    return [chart for chart in charts if chart.drawn]


def generation_charts(spec: RunSpec, entries: list[Entry], found: Intervals) -> list[Chart]:
    """One chart per metric, because the intervals of several metrics in one drawing would hide each other."""
    rows, scorer = metric_rows(entries), scorer_of(spec.regrow)
    if scorer is None:
        return []
    rules = [
        Series(scorer.about.labels.get(name, name), _points(rows, name), is_reference=True)
        for name in scorer.about.references
    ]
    titles = {name: label[0].upper() + label[1:] for name, label in answer_scores(spec, _names(rows)).items()}
    parts = {
        name.rpartition("/") for values in rows.values() for name in values if name.startswith("gen_") and "/" in name
    }
    titles |= {f"{metric}/{part}": f"{_words(metric)}: {part}" for metric, _, part in sorted(parts)[:MOST_PARTS]}
    charts = [
        Chart(title, "step", [_with_bands(rows, name, title, found), *(rules if name == scorer.about.headline else [])],
              y_range=(0.0, 1.0))
        for name, title in titles.items()
    ]  # fmt: skip
    return [chart for chart in charts if chart.series[0].finite]


def _names(rows: Rows) -> Collection[str]:
    """The names of all metrics, in the order in which they came."""
    return dict.fromkeys(name for values in rows.values() for name in values)


def _words(metric: str) -> str:
    """A metric's name as words: `gen_field_match_rate` → `Field match rate`."""
    words = metric.removeprefix("gen_").replace("_", " ")
    return words[0].upper() + words[1:]


def interruptions(attempts: Sequence[AttemptTimes], status: str) -> list[Mark]:
    """A mark at each step where a training was stopped or broke before its end."""
    endings = with_running(attempts, status)
    found = []
    for each in attempts:
        look, words = ENDINGS[endings[each.name]]
        if each.stage == "train" and each.last_step is not None and look in ("taken", "broken"):
            found.append(Mark(each.last_step, words, look == "broken"))
    return found


def generation_intervals(spec: RunSpec, entries: list[Entry]) -> Intervals:
    """The 95 % intervals of each evaluation's scores, from its predictions. A step without predictions has none."""
    rows = metric_rows(entries)
    scorer, names = scorer_of(spec.regrow), answer_scores(spec, _names(rows))
    if scorer is None:
        return {}
    steps = sorted(step for step, values in rows.items() if any(name in values for name in names))
    paths = {step: spec.paths.checkpoints / f"gen_predictions_step{step}.jsonl" for step in steps}
    there = {step: path for step, path in paths.items() if path.is_file()}
    return {step: _intervals_of(there[step], scorer) for step in sorted(there)[-MOST_INTERVALS:]}


def _intervals_of(path: Path, scorer: Scorer) -> dict[str, tuple[float, float]]:
    if not (rows := read_rows(path)):
        return {}
    scorer = scorer.for_records(rows)
    names, parts, means = metric_ratios(judge(rows, scorer), scorer)
    found = zip(names, intervals(parts, RESAMPLES, means=means), strict=True)
    return {name: (each.low, each.high) for name, each in found if each.low is not None and each.high is not None}


def _points(rows: Rows, name: str) -> list[Point]:
    return [(step, values[name]) for step, values in sorted(rows.items()) if name in values]


def _with_bands(rows: Rows, name: str, label: str, found: Intervals) -> Series:
    """The metric's line, without the steps at which it was 0/0: at such a step the predictions give no interval."""
    points = [point for point in _points(rows, name) if name in found.get(int(point[0]), {name: None})]
    return Series(label, points, [(step, *found[int(step)][name]) for step, _ in points if int(step) in found])
