"""report/metrics.md: the figures as Markdown tables. Pure."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry, metric_rows
from jobs.evaluation.markdown import evaluation_section, markdown_table
from jobs.evaluation.results import Results
from jobs.history.spent import RARE, Spent
from jobs.history.time_spent import attempt_times, main_stage, total
from jobs.report.facts import run_facts
from jobs.report.labels import columns
from jobs.spec.run_spec import RunSpec

FINAL = "evaluate/"
"""Prefix of the scores of the final evaluation, on all records."""


def metric_table(spec: RunSpec, entries: list[Entry]) -> list[list[str]]:
    """The header, and one row per evaluated step; the final evaluation on all records comes last. Metrics without a value have no
    column; empty: there are none at all."""
    by_step = sorted(metric_rows(entries).items())
    final = {
        name.removeprefix(FINAL): value for _, values in by_step for name, value in values.items() if FINAL in name
    }
    found = [(str(step), values) for step, values in by_step] + ([("all records", final)] if final else [])
    seen = dict.fromkeys(name for _, values in found for name in values)
    labels = {name: label for name, label in columns(spec, seen).items() if name in seen}
    rows = [
        [step, *(_number(values.get(name)) for name in labels)]
        for step, values in found
        if any(name in values for name in labels)
    ]
    return [["step", *labels.values()], *rows] if rows else []


def markdown(spec: RunSpec, entries: list[Entry], results: Results) -> str:
    """The report as Markdown."""
    table = metric_table(spec, entries)
    lines = [f"# {spec.name}", ""]
    lines += markdown_table(table[0], table[1:]) if table else []
    lines += evaluation_section(spec, results.models) if results.models else []
    lines += [f"\n**Not evaluated**: {text}" for text in (*results.missing, *results.broken)]
    lines += time_section(spec, entries)
    failures = only(entries, events.StageFailed)
    lines += [f"\n**{entry.stage} failed**: {entry.message}" for entry in failures]
    return "\n".join(lines) + "\n"


def time_section(spec: RunSpec, entries: list[Entry]) -> list[str]:
    """Where the time went, attempt by attempt. The report's own attempt is left out, because it has not ended yet."""
    attempts = [each for each in attempt_times(entries) if each.stage != "report"]
    if not attempts:
        return []
    spent = total(attempts)
    kinds = [each.name for each in fields(Spent) if each.name not in RARE or getattr(spent, each.name)]
    rows = [
        [f"{each.stage} {each.job_id}, attempt {each.attempt + 1}: {each.ending}", *_seconds(each.spent, kinds)]
        for each in attempts
    ]
    facts = run_facts(spec, entries, attempts)
    goodput = "–" if facts.goodput is None else f"{facts.goodput:.1%}"
    return [
        "\n## Where the time went, in seconds\n",
        *markdown_table(["attempt", *kinds], [*rows, ["all", *_seconds(spent, kinds)]]),
        f"\nGoodput of {main_stage(attempts)} (the productive share of its allocated time): {goodput}; "
        f"{facts.steps_lost} steps were done again; {facts.gpu_hours:.2f} GPU-hours.",
    ]


def _seconds(spent: Spent, kinds: Sequence[str]) -> list[str]:
    return [f"{getattr(spent, kind):,.1f}" for kind in kinds]


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.3f}"
