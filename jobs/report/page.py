"""A run as one HTML file: it loads nothing, needs no script, and can be read on a phone, at night and on paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry
from callbacks.shared.tasks.extraction_scorer import RULE
from jobs.evaluation.comparison import Comparison, compare
from jobs.evaluation.criteria import Criterion, criteria
from jobs.evaluation.markdown import interval_text, signed_text
from jobs.evaluation.markdown import number as digits
from jobs.evaluation.parts import required_scorer, spec_of_model
from jobs.evaluation.results import ModelResult, Results, best_of
from jobs.evaluation.scores import metric_values
from jobs.evaluation.training_facts import training_facts
from jobs.history.records import trained_records
from jobs.history.spent import RARE
from jobs.history.status import duration
from jobs.history.time_spent import AttemptTimes, attempt_times, main_stage, total
from jobs.report.charts import Chart
from jobs.report.drawing import svg
from jobs.report.facts import RunFacts, run_facts
from jobs.report.figures import Intervals, generation_charts, interruptions, training_charts
from jobs.report.memory import peaks, system_charts
from jobs.report.scale import number as short
from jobs.report.timeline import KINDS, clock, part_names, shares, timeline
from jobs.spec.run_spec import RunSpec, axolotl_document

TEMPLATES = Path(__file__).parent
MOST_ROWS = 200
"""Most rows in the table of a chart's data."""
EXCERPT = 1000
"""The number of characters shown of a long article or answer."""
STATES = {"RUNNING": "Still running", "FINISHED": "✓ Finished", "FAILED": "✕ Failed", "KILLED": "Cancelled"}


@dataclass(frozen=True)
class Versus:
    """A model compared with the baseline."""

    name: str
    baseline: str
    comparison: Comparison
    criteria: Sequence[Criterion]


@dataclass(frozen=True)
class Figure:
    """A chart with its drawing and its data."""

    chart: Chart
    svg: Markup
    count: int
    every: int
    """Of the `count` rows of data, `rows` has the first of every `every` rows."""
    rows: list[tuple[float, list[str]]]


def page(spec: RunSpec, entries: list[Entry], results: Results, intervals: Intervals) -> str:
    """The page. `intervals`: of the generation during training, from `figures.generation_intervals`."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "clock": clock, "interval": interval_text, "signed": signed_text,
                            "short": short, "digits": digits, "excerpt": excerpt}  # fmt: skip
    text = environment.get_template("report.html.jinja").render(_context(spec, entries, results, intervals))
    return text.encode("utf-8", "replace").decode()  # a model's answer may not be valid Unicode


def excerpt(text: str) -> str:
    """The beginning of a long text, and its length."""
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]}… ({len(text):,} characters)"


def _context(spec: RunSpec, entries: list[Entry], results: Results, intervals: Intervals) -> dict[str, Any]:
    attempts = [each for each in attempt_times(entries) if each.stage != "report"]
    facts = run_facts(spec, entries, attempts)
    charts, spent = _charts(spec, entries, attempts, facts, intervals), total(attempts)
    failures = only(entries, events.StageFailed)
    unevaluated = _unevaluated(results, facts)
    records = trained_records(spec.paths.checkpoints)
    wrong: dict[str, Sequence[Any]] = {
        "Failures": failures,
        "Not evaluated": unevaluated,
        "Other records": records.problems,
    }
    made = _made_with(spec, entries)
    return charts | made | {
        "spec": spec,
        "facts": facts,
        "state": STATES.get(facts.status, facts.status),
        "ended_at": spec.submitted_at + facts.seconds,
        "headline": _headline(facts),
        "sections": _sections(charts, results, wrong),
        "main_stage": main_stage(attempts),
        "kinds": {
            kind: said
            for kind, said in KINDS.items()
            if getattr(spent, kind) or (facts.target_step and kind not in RARE)
        },
        "shares": shares,
        "total": spent,
        "results": results,
        "best": best_of(spec, results.models) if results.models else None,
        "metric_names": list(results.models[0].scores["metrics"]) if results.models else [],
        "metric_values": metric_values,
        "versus": _versus(spec, results.models),
        "failures": failures,
        "unevaluated": unevaluated,
        "records": records,
        "style": Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704 (our own)
    }  # fmt: skip


def _charts(
    spec: RunSpec, entries: list[Entry], attempts: list[AttemptTimes], facts: RunFacts, intervals: Intervals
) -> dict[str, Any]:
    marks = interruptions(attempts, facts.status)
    generation = generation_charts(spec, entries, intervals)
    return {
        "marks": marks,
        "training": _figures(training_charts(entries, marks), "t"),
        "generation": _figures(generation, "g"),
        "has_rule": any(RULE in entry.values for entry in only(entries, events.Metrics)),
        "timeline": timeline(attempts, facts.status, part_names(entries)) if attempts else None,
        "system": _figures(system_charts(entries, spec.submitted_at), "m"),
        "peaks": peaks(entries),
    }


def _made_with(spec: RunSpec, entries: list[Entry]) -> dict[str, Any]:
    return {
        "config": yaml.safe_dump(axolotl_document(spec), allow_unicode=True, sort_keys=False),
        "profile": yaml.safe_dump(spec.profile.model_dump(mode="json", exclude_none=True), sort_keys=False),
        "site": yaml.safe_dump(spec.site.model_dump(mode="json"), sort_keys=False) if spec.site else None,
        "environment": _environment(entries),
    }


def _sections(charts: Mapping[str, Any], results: Results, wrong: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """The sections of the page: id → title. `wrong`: a title for what went wrong, and its cases."""
    bad = next((title for title, cases in wrong.items() if cases), "")
    there = {
        "training": ("Training", charts["training"]),
        "generation": ("Generation", charts["generation"]),
        "attempts": ("Attempts", charts["timeline"]),
        "time": ("Where the time went", charts["timeline"]),
        "memory": ("Memory", charts["system"] or charts["peaks"]),
        "evaluation": ("Evaluation", results.models),
        "failures": (bad, bad),
        "made": ("How it was made", True),
    }
    return {key: title for key, (title, is_there) in there.items() if is_there}


def _headline(facts: RunFacts) -> list[tuple[str, str]]:
    """The large figures at the top."""
    others = facts.interruptions - facts.preemptions
    found = {
        "steps": f"{facts.step or 0:,} / {facts.target_step:,}" if facts.target_step else None,
        "last loss": None if facts.loss is None else short(facts.loss),
        "goodput": None if facts.goodput is None else f"{facts.goodput:.1%}",
        "GPU-hours": f"{facts.gpu_hours:,.2f}" if facts.gpu_hours else None,
        "attempts": f"{facts.attempts:,}" if facts.attempts else None,
        "preemptions": f"{facts.preemptions:,}" if facts.attempts else None,
        "other interruptions": f"{others:,}" if others else None,
        "steps done again": f"{facts.steps_lost:,}" if facts.target_step else None,
        "since submission" if facts.status == "RUNNING" else "from submission to end": duration(facts.seconds),
    }
    return [(name, text) for name, text in found.items() if text is not None]


def _unevaluated(results: Results, facts: RunFacts) -> list[str]:
    """What is not evaluated. For a running run the hint is left out, because there is nothing to type yet."""
    going = facts.status == "RUNNING"
    return [*(text.partition("; hint:")[0] if going else text for text in results.missing), *results.broken]


def _figures(charts: Sequence[Chart], prefix: str) -> list[Figure]:
    return [_figure(chart, f"{prefix}{number}") for number, chart in enumerate(charts)]


def _figure(chart: Chart, key: str) -> Figure:
    """The chart with its data as a table: x, and each line's value and interval at x."""
    xs = sorted({x for series in chart.drawn for x, _ in series.points})
    every = max(1, -(-len(xs) // MOST_ROWS))
    columns: list[Mapping[float, str]] = []
    for series in chart.drawn:
        columns.append({x: short(y) for x, y in series.points})
        if series.bands:
            columns.append({x: f"{short(low)} – {short(high)}" for x, low, high in series.bands})
    rows = [(x, [column.get(x, "") for column in columns]) for x in xs[::every]]
    return Figure(chart, Markup(svg(chart, key)), len(xs), every, rows)  # noqa: S704 (escaped there)


def _versus(spec: RunSpec, models: Sequence[ModelResult]) -> list[Versus]:
    baseline = next((r for r in models if spec.evaluation and r.model.name == spec.evaluation.baseline), None)
    return [_compared(spec, result, baseline) for result in models if baseline and result is not baseline]


def _compared(spec: RunSpec, result: ModelResult, baseline: ModelResult) -> Versus:
    """The criteria of success are for two trainings; a plain model has none."""
    found = compare(result.rows, baseline.rows, required_scorer(spec))
    if not (result.model.run_dir and baseline.model.run_dir):
        return Versus(result.model.name, baseline.model.name, found, [])
    new, old = (training_facts(spec_of_model(spec, each.model)) for each in (result, baseline))
    return Versus(result.model.name, baseline.model.name, found, criteria(found, new, old))


def _environment(entries: list[Entry]) -> dict[str, str]:
    """The attempts' environments. If attempts differ in a value, all its values in order of time."""
    found: dict[str, list[str]] = {}
    for entry in only(entries, events.Environment):
        for key, value in entry.values.items():
            if value not in (seen := found.setdefault(key, [])):
                seen.append(value)
    return {key: " → ".join(values) for key, values in found.items()}
