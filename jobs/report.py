"""The report stage: the metrics step by step, and the end of the MLflow run. It runs however the stages before it ended."""

from dataclasses import dataclass
from typing import Any, ClassVar

from callbacks.journal import Entry, metric_rows, read_journal
from callbacks.manifest import write_atomically
from callbacks.tracking import MlflowFeed
from jobs.attempt import Attempt
from jobs.spec import RunSpec
from jobs.stage import run_stage
from jobs.stages import STAGES, Stage

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
    stage: ClassVar[Stage] = "report"

    def __call__(self) -> None:
        run_stage(self, report)


def report(attempt: Attempt) -> None:
    """Write report/metrics.md, post it, and set the MLflow run's status to what became of the run."""
    spec, entries = attempt.spec, read_journal(attempt.spec.paths.journal)
    spec.paths.report.parent.mkdir(exist_ok=True)
    write_atomically(spec.paths.report, markdown(spec, entries))
    status = run_status(entries)
    attempt.journal.event("run_ended", status=status)
    feed = MlflowFeed(spec.tracked_run, attempt.journal)
    feed.artifact(spec.paths.report, "report")
    feed.call(lambda client, run_id: client.set_terminated(run_id, status))
    feed.close()


def run_status(entries: list[Entry]) -> str:
    """MLflow's word for what became of the run."""
    if all(stage in stages_finished(entries) for stage in STAGES[:-1]):
        return "FINISHED"
    left = [entry for entry in entries if entry["event"] == "left"]
    return "KILLED" if left and left[-1]["cause"] == "cancelled" else "FAILED"


def stages_finished(entries: list[Entry]) -> set[str]:
    return {entry["stage"] for entry in entries if entry["event"] == "stage_finished"}


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


def markdown(spec: RunSpec, entries: list[Entry]) -> str:
    """The report as Markdown."""
    header = ["step", *COLUMNS.values()]
    lines = [f"# {spec.name}", "", _row(header), _row(["---:"] * len(header)), *map(_row, metric_table(entries))]
    failures = [entry for entry in entries if entry["event"] == "stage_failed"]
    lines += [f"\n**{entry['stage']} failed**: {entry['message']}" for entry in failures]
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.3f}"
