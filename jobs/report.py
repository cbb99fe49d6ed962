"""The report stage: the metrics step by step, and the end of the MLflow run. It runs however the stages before it ended."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from callbacks.journal import Entry, metric_rows, read_journal
from callbacks.manifest import write_atomically
from callbacks.predictions import prediction_metrics
from callbacks.tracking import MlflowFeed
from jobs.accounting import AttemptTimes, Spent, attempt_times, gpu_hours, main_stage, steps_lost, total
from jobs.attempt import EXIT_CONFIG, Attempt, StageFailed
from jobs.evaluation.markdown import evaluation_section, markdown_table
from jobs.evaluation.parts import evaluated_models
from jobs.evaluation.posting import has_own_run, post_results
from jobs.evaluation.results import ModelResult, Results, evaluation_results
from jobs.progress import finished_step, stages_finished
from jobs.spec import RunSpec
from jobs.stage import run_stage
from jobs.stages import Stage

COLUMNS = {
    "eval_loss": "eval loss",
    "gen_json_parse_rate": "parse rate",
    "gen_offender_presence_f1": "presence F1",
    "gen_keyword_rule_presence_f1": "keyword rule's F1",
    "gen_offender_name_set_f1": "name-set F1",
    "gen_all_fields_exact_match_rate": "exact match",
}


@dataclass(frozen=True)
class ReportJob:
    """What submitit pickles: the run folder, and nothing else."""

    run_dir: str
    part: int = 0
    stage: ClassVar[Stage] = "report"

    def __call__(self) -> None:
        run_stage(self, report)


def report(attempt: Attempt) -> None:
    """Merge and score what was evaluated, write report/metrics.md, post both, and set the MLflow run's status.

    Raises:
        StageFailed: every shard is finished, but together they are not the records.
    """
    spec, entries = attempt.spec, read_journal(attempt.spec.paths.journal)
    results = evaluation_results(spec) if can_be_evaluated(spec, entries) else Results([], [], [])
    post_results(spec, results.models, attempt.journal)
    spec.paths.report.parent.mkdir(exist_ok=True)
    if not spec.evaluation and results.models and results.models[0].model == evaluated_models(spec)[0]:
        final = _final_metrics(attempt, results.models[0], entries)
    else:
        final = None
    write_atomically(spec.paths.report, markdown(spec, read_journal(spec.paths.journal), results))
    status = "FAILED" if results.broken else run_status(spec, entries)
    attempt.journal.event("run_ended", status=status)
    if has_own_run(spec):
        feed = MlflowFeed(spec.tracked_run, attempt.journal)
        if final:
            feed.metrics(final)
            feed.artifact(spec.paths.evaluation(results.models[0].model.name).predictions, "evaluate")
        if not spec.evaluation:
            feed.metrics(_time_metrics(attempt, entries))
        feed.artifact(spec.paths.report, "report")
        feed.call(lambda client, run_id: client.set_terminated(run_id, status))
        feed.close()
    if results.broken:
        raise StageFailed("the answers cannot be merged: " + "\n".join(results.broken), EXIT_CONFIG)


def can_be_evaluated(spec: RunSpec, entries: list[Entry]) -> bool:
    """Whether there is a model: one that was named, or the run's own, once it is trained."""
    return spec.evaluation is not None or finished_step(entries) is not None


def _final_metrics(attempt: Attempt, result: ModelResult, entries: list[Entry]) -> Entry:
    """The entry with the scores of the run's last model; a report that is made anew posts the same one."""
    known = [entry for entry in entries if entry["event"] == "metrics" and "evaluate/gen_records" in entry["values"]]
    scores = prediction_metrics(result.rows, attempt.spec.regrow.target)
    values = {f"evaluate/{name}": value for name, value in scores.items()}
    return known[-1] if known else attempt.journal.metrics(result.model.step or 0, values)


def _time_metrics(attempt: Attempt, entries: list[Entry]) -> Entry:
    """Where the training's time went, as an entry for MLflow: `time/<kind>_seconds`, goodput, GPU-hours, lost steps."""
    attempts = attempt_times(entries)
    spent = {f"time/{kind}_seconds": seconds for kind, seconds in vars(total(attempts, "train")).items()}
    facts = {name: value for name, value in run_facts(attempt.spec, attempts).items() if value is not None}
    return attempt.journal.metrics(finished_step(entries) or 0, spent | facts)


def run_status(spec: RunSpec, entries: list[Entry]) -> str:
    """MLflow's word for what became of the run."""
    if set(spec.stages) - {"report"} <= set(stages_finished(spec, entries)):
        return "FINISHED"
    left = [entry for entry in entries if entry["event"] == "left"]
    return "KILLED" if left and left[-1]["cause"] == "cancelled" else "FAILED"


def metric_table(entries: list[Entry]) -> list[list[str]]:
    """One row per evaluated step under COLUMNS, the step first; the final evaluation over all records comes last."""
    rows = [
        [str(step), *(_number(values.get(name)) for name in COLUMNS)]
        for step, values in sorted(metric_rows(entries).items())
        if any(name in values for name in COLUMNS)
    ]
    final = {name: value for values in metric_rows(entries).values() for name, value in values.items()}
    if any(name.startswith("evaluate/") for name in final):
        rows.append(["all records", *(_number(final.get(f"evaluate/{name}")) for name in COLUMNS)])
    return rows


def markdown(spec: RunSpec, entries: list[Entry], results: Results) -> str:
    """The report as Markdown."""
    table = metric_table(entries)
    lines = [f"# {spec.name}", ""]
    lines += markdown_table(["step", *COLUMNS.values()], table) if table else []
    lines += evaluation_section(spec, results.models) if results.models else []
    lines += [f"\n**Not evaluated**: {text}" for text in (*results.missing, *results.broken)]
    lines += time_section(spec, entries)
    failures = [entry for entry in entries if entry["event"] == "stage_failed"]
    lines += [f"\n**{entry['stage']} failed**: {entry['message']}" for entry in failures]
    return "\n".join(lines) + "\n"


def time_section(spec: RunSpec, entries: list[Entry]) -> list[str]:
    """Where the time went, attempt by attempt; this report's own is not over yet, and left out."""
    attempts = [each for each in attempt_times(entries) if each.stage != "report"]
    if not attempts:
        return []
    kinds = [each.name for each in fields(Spent)]
    rows = [
        [f"{each.stage} {each.job_id}, attempt {each.attempt + 1}: {each.ending}", *_seconds(each.spent, kinds)]
        for each in attempts
    ]
    facts = run_facts(spec, attempts)
    goodput = "–" if facts["goodput"] is None else f"{facts['goodput']:.1%}"
    return [
        "\n## Where the time went, in seconds\n",
        *markdown_table(["attempt", *kinds], [*rows, ["all", *_seconds(total(attempts), kinds)]]),
        f"\nGoodput of {main_stage(attempts)}, the productive share of what was allocated: {goodput}; "
        f"{facts['steps_lost']} steps were done again; {facts['gpu_hours']:.2f} GPU-hours.",
    ]


def run_facts(spec: RunSpec, attempts: Sequence[AttemptTimes]) -> dict[str, float | None]:
    """The few figures that tell how well a run used what it was given."""
    gpus = {stage: int(spec.profile.parameters(stage).get("gpus_per_node") or 0) for stage in spec.stages}
    return {
        "goodput": total(attempts, main_stage(attempts)).goodput,
        "steps_lost": steps_lost(attempts),
        "gpu_hours": gpu_hours(attempts, gpus),
        "attempts": len([each for each in attempts if each.stage == main_stage(attempts)]),
    }


def _seconds(spent: Spent, kinds: Sequence[str]) -> list[str]:
    return [f"{getattr(spent, kind):,.1f}" for kind in kinds]


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.3f}"
