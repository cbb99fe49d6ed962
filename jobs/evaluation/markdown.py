"""The evaluation as Markdown: scores with intervals; classes and kinds of errors; scores by group; the worst errors."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from jobs.evaluation.comparison import Comparison, compare
from jobs.evaluation.parts import required_scorer
from jobs.evaluation.results import ModelResult, best_of
from jobs.evaluation.scores import metric_values
from jobs.evaluation.statistics import Interval
from jobs.spec.run_spec import RunSpec

WORST_SHOWN = 5
EXCERPT = 200
"""The number of characters shown of a long text."""


def evaluation_section(spec: RunSpec, results: Sequence[ModelResult]) -> list[str]:
    """Every model's scores in one table, then each model's errors. With a baseline: also the differences from it."""
    best = best_of(spec, list(results))
    names = list(results[0].scores["metrics"])
    header = [
        "metric",
        *(f"{r.model.name} (best)" if r is best and len(results) > 1 else r.model.name for r in results),
    ]
    rows = [[name, *(interval_text(metric_values(result.scores).get(name)) for result in results)] for name in names]
    rows.append(["tokens/s of a job", *(number(result.scores["speed"]["tokens_per_second"], 0) for result in results)])
    rows.append(["peak memory, GiB", *(number(result.scores["speed"]["peak_memory_gib"], 1) for result in results)])
    lines = [
        f"\n## Evaluation of {results[0].scores['records']:,} records, with 95 % intervals\n",
        *markdown_table(header, rows),
    ]
    baseline = next((r for r in results if spec.evaluation and r.model.name == spec.evaluation.baseline), None)
    for result in results:
        if baseline and result is not baseline:
            found = compare(result.rows, baseline.rows, required_scorer(spec))
            lines += comparison_section(found, result.model.name, baseline.model.name)
        lines += _model_section(result)
    return lines


def comparison_section(found: Comparison, a: str, b: str) -> list[str]:
    """The differences between two models, as a table."""
    rows = [
        [
            name,
            interval_text(each.a),
            interval_text(each.b),
            signed_text(each.difference),
            number(each.difference.p_value),
        ]
        for name, each in found.metrics.items()
    ]
    who = {"a alone": f"{a} alone", "b alone": f"{b} alone"}
    counts = ", ".join(f"{who.get(key, key)} {count:,}" for key, count in found.right.items())
    return [
        f"\n### {a} against {b}, {found.records:,} records\n",
        *markdown_table(["metric", a, b, "difference", "p (paired bootstrap)"], rows),
        f"\n{found.question.capitalize()}: {counts}; McNemar's exact p = {found.right_p_value:.3g}.",
    ]


def _model_section(result: ModelResult) -> list[str]:
    scores, table = result.scores, result.scores["classes"]
    classes = [[f"expected {expected}", *map(str, said.values())] for expected, said in table.items()]
    header = [scores["question"], *(f"answered {said}" for said in next(iter(table.values()), {}))]
    counts = [
        [f"{each['meaning']}", f"{each['number']:,}", f"{each['records']:,}"] for each in scores["counts"].values()
    ]
    return [
        f"\n### {result.model.name}\n",
        *(markdown_table(header, classes) if classes else []),
        *(["", *markdown_table(["errors", "how many", "in records"], counts)] if counts else []),
        f"\nAnswers cut off: {scores['cut_off']:,}.",
        *_slices("input length, characters", scores["slices"]["length"]),
        *_slices("expected", scores["slices"]["class"]),
        *_worst(scores["worst"][:WORST_SHOWN]),
    ]


def _slices(what: str, slices: Sequence[dict[str, Any]]) -> list[str]:
    if not slices:
        return []
    names = list(slices[0]["metrics"])
    rows = [
        [each["slice"], f"{each['records']:,}", *(number(each["metrics"][name]) for name in names)] for each in slices
    ]
    return ["", *markdown_table([what, "records", *(name.removeprefix("gen_") for name in names)], rows)]


def _worst(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = ["\nThe worst errors:" if rows else "\nNo errors."]
    for row in rows:
        lines += [
            f"\n- record {row['record']}: {'; '.join(row['errors'])}",
            *(f"  - {key}: {code(row[key])}" for key in ("input", "expected", "generated")),
        ]
    return lines


def code(text: str) -> str:
    """A model's or an article's text on one line, so that nothing in it is read as Markdown."""
    shown = text if len(text) <= EXCERPT else f"{text[:EXCERPT]}…"
    ticks = "`" * (1 + max(map(len, "".join(c if c == "`" else " " for c in shown).split()), default=0))
    return f"{ticks} {json.dumps(shown, ensure_ascii=False)} {ticks}".encode("utf-8", "replace").decode()


def interval_text(interval: Interval | None) -> str:
    if interval is None or interval.value is None:
        return "–"
    return f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"


def signed_text(difference: Any) -> str:
    """A difference with its interval."""
    if difference.value is None:
        return "–"
    return f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"


def number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table: the first column is aligned left, the numbers right."""
    return [_row(header), _row([":---", *["---:"] * (len(header) - 1)]), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
