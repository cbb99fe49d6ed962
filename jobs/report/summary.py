"""A run in a few lines of Markdown, for a chat or an issue: only figures, no text of an article or a model."""

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry
from jobs.evaluation.markdown import interval_text
from jobs.evaluation.results import Results, best_of
from jobs.evaluation.scores import metric_values
from jobs.history.records import trained_records
from jobs.history.status import duration
from jobs.history.time_spent import attempt_times
from jobs.report.facts import RunFacts, run_facts
from jobs.report.labels import columns
from jobs.spec.run_spec import RunSpec


def summary(spec: RunSpec, entries: list[Entry], results: Results) -> str:
    """The summary, at most a dozen lines."""
    facts = run_facts(spec, entries, [each for each in attempt_times(entries) if each.stage != "report"])
    lines = [f"**{spec.name}**: {facts.status} after {duration(facts.seconds)} on {spec.cluster}", *_progress(facts)]
    if results.models:
        lines += _evaluation(spec, results)
    if left := len(results.missing) + len(results.broken):
        lines.append(f"- not evaluated{' yet' if facts.status == 'RUNNING' else ''}: {_counted(left, 'model')}")
    lines += [
        f"- other records than in an undisturbed training: {text}"
        for text in trained_records(spec.paths.checkpoints).problems
    ]
    failed = only(entries, events.StageFailed)
    lines += [f"- {entry.stage} failed: {_first_line(entry.message)}" for entry in failed[-2:]]
    return "\n".join([*lines, f"- report: `{spec.paths.report_page}`"]) + "\n"


def _progress(facts: RunFacts) -> list[str]:
    lines = []
    if facts.target_step:
        loss = "" if facts.loss is None else f", loss {facts.loss:.3f}"
        lines.append(f"- {facts.step or 0:,} of {facts.target_step:,} steps{loss}")
    if facts.attempts:
        others = facts.interruptions - facts.preemptions
        told = [
            f"goodput {facts.goodput:.0%}" if facts.goodput is not None else "",
            f"{facts.gpu_hours:,.2f} GPU-hours" if facts.gpu_hours else "",
            _counted(facts.attempts, "attempt"),
            _counted(facts.preemptions, "preemption"),
            _counted(others, "other interruption") if others else "",
            f"{_counted(facts.steps_lost, 'step')} done again" if facts.target_step else "",
        ]
        lines.append(f"- {', '.join(filter(None, told))}")
    return lines


def _evaluation(spec: RunSpec, results: Results) -> list[str]:
    best = best_of(spec, results.models)
    found = metric_values(best.scores)
    labels = {name: label for name, label in columns(spec, found).items() if name in found}
    lines = [f"- {label}: {interval_text(found[name])}" for name, label in labels.items()]
    which = f"{best.model.name}, the best of {len(results.models)}" if len(results.models) > 1 else best.model.name
    return [f"- evaluated on {best.scores['records']:,} records, with 95 % intervals: {which}", *lines]


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _first_line(text: str) -> str:
    return text.partition("\n")[0][:300]
