"""Writes the report's files, with everything that the run has done so far."""

from pathlib import Path

from callbacks.shared import events
from callbacks.shared.journal import Entry, Journal, read_journal
from callbacks.shared.manifest import write_atomically
from jobs.evaluation.results import Results, evaluation_results
from jobs.history.progress import finished_step
from jobs.report.metrics_markdown import markdown
from jobs.report.summary import summary
from jobs.spec.run_spec import RunSpec


def write_report(spec: RunSpec, results: Results, journal: Journal) -> Path:
    """Write the report by the journal as it is now; the path of its page. `journal`: gets the events that name the files."""
    from jobs.report.figures import generation_intervals
    from jobs.report.page import page  # slow to import, so a submission must not wait for it

    entries, paths = read_journal(spec.paths.journal), spec.paths
    paths.report.parent.mkdir(exist_ok=True)
    texts = {
        paths.report: markdown(spec, entries, results),
        paths.report_summary: summary(spec, entries, results),
        paths.report_page: page(spec, entries, results, generation_intervals(spec, entries)),
    }
    for path, text in texts.items():
        write_atomically(path, text)
        journal.write(events.Artifact(path=str(path), folder="report"))
    journal.write(events.Reported(summary=texts[paths.report_summary]))
    return paths.report_page


def results_so_far(spec: RunSpec, entries: list[Entry]) -> Results:
    """The merged and scored results so far; empty as long as there is no model."""
    return evaluation_results(spec) if can_be_evaluated(spec, entries) else Results([], [], [])


def can_be_evaluated(spec: RunSpec, entries: list[Entry]) -> bool:
    """Whether there is a model: a model that the user named, or the run's own model after its training."""
    return spec.evaluation is not None or finished_step(entries) is not None
