"""The report stage: the report's files, and the end of the MLflow run. It runs even if an earlier stage failed."""

from callbacks.shared import events
from callbacks.shared.events import newest
from callbacks.shared.journal import Entry, read_journal
from callbacks.shared.predictions import prediction_metrics
from jobs.evaluation.parts import evaluated_models, required_scorer
from jobs.evaluation.results import ModelResult
from jobs.history.progress import finished_step, stages_finished
from jobs.history.time_spent import attempt_times, total
from jobs.node.attempt import Attempt, StageFailed
from jobs.report.facts import run_facts
from jobs.report.write import results_so_far, write_report
from jobs.spec.errors import EXIT_CONFIG
from jobs.spec.run_spec import RunSpec


def report(attempt: Attempt) -> None:
    """Merge and score the answers, write how the run ended, and write the report. All of it goes to MLflow.

    Raises:
        StageFailed: every shard is finished, but together they do not make up the records.
    """
    spec, entries = attempt.spec, read_journal(attempt.spec.paths.journal)
    results = results_so_far(spec, entries)
    if results.models:
        attempt.journal.write(events.Evaluated(models=[result.model.name for result in results.models]))
    if not spec.evaluation and results.models and results.models[0].model == evaluated_models(spec)[0]:
        _say_final_metrics(attempt, results.models[0])
    if not spec.evaluation:
        values = _time_metrics(spec, entries)
        attempt.journal.write(events.Summary(step=finished_step(entries) or 0, values=values))
    attempt.journal.write(events.RunEnded(status="FAILED" if results.broken else run_end(spec, entries)))
    write_report(spec, results, attempt.journal)
    if results.broken:
        raise StageFailed("the answers cannot be merged: " + "\n".join(results.broken), EXIT_CONFIG)


def _say_final_metrics(attempt: Attempt, result: ModelResult) -> None:
    """Write the scores of the run's last model as metrics of the run."""
    scores = prediction_metrics(result.rows, required_scorer(attempt.spec))
    values = {f"evaluate/{name}": value for name, value in scores.items()}
    attempt.journal.write(events.Metrics(step=result.model.step or 0, values=values))
    predictions = attempt.spec.paths.evaluation(result.model.name).predictions
    attempt.journal.write(events.Artifact(path=str(predictions), folder="evaluate"))


def _time_metrics(spec: RunSpec, entries: list[Entry]) -> dict[str, float]:
    """Where the training's time went: `time/<kind>_seconds`, goodput, GPU-hours, lost steps."""
    attempts = attempt_times(entries)
    facts = run_facts(spec, entries, attempts)
    spent = {f"time/{kind}_seconds": seconds for kind, seconds in vars(total(attempts, "train")).items()}
    return spent | {
        **({} if facts.goodput is None else {"goodput": facts.goodput}),
        "gpu_hours": facts.gpu_hours,
        "steps_lost": facts.steps_lost,
        "attempts": facts.attempts,
    }


def run_end(spec: RunSpec, entries: list[Entry]) -> events.RunEnd:
    """How the run has ended, in MLflow's words."""
    if set(spec.stages) - {"report"} <= set(stages_finished(spec, entries)):
        return "FINISHED"
    left = newest(entries, events.Left)
    return "KILLED" if left and left.cause == "cancelled" else "FAILED"
