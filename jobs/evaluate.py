"""The evaluate stage: the final adapter over all validation records, scored and posted."""

import json
import sys
from dataclasses import dataclass
from typing import ClassVar

from callbacks.journal import Entry, read_journal
from callbacks.manifest import write_atomically
from callbacks.predictions import prediction_metrics, read_rows
from callbacks.tracking import MlflowFeed
from jobs.attempt import EXIT_TEMPORARY, Attempt, StageFailed
from jobs.launch import evaluate_command, python_of
from jobs.stage import run_stage
from jobs.stages import Stage


@dataclass(frozen=True)
class EvaluateJob:
    """What submitit pickles: the run folder, and nothing else."""

    run_dir: str
    stage: ClassVar[Stage] = "evaluate"

    def __call__(self) -> None:
        run_stage(self, evaluate)


def evaluate(attempt: Attempt) -> None:
    """Generate with the trained adapter, in a process that has torch; score here.

    Raises:
        StageFailed: the training has not finished, or the generation failed.
    """
    spec = attempt.spec
    step = finished_step(read_journal(spec.paths.journal))
    if step is None:
        raise StageFailed(
            f"{spec.name} has not finished training: there is no final adapter to evaluate", EXIT_TEMPORARY
        )
    if not spec.axolotl.get("test_datasets"):
        attempt.journal.event("nothing_to_evaluate", reason="the config has no test_datasets")
        return
    spec.paths.evaluation.mkdir(parents=True, exist_ok=True)
    attempt.run([evaluate_command(spec, python_of(spec, sys.executable), attempt.stem)])
    scores = prediction_metrics(read_rows(spec.paths.predictions), spec.regrow.target)
    write_atomically(spec.paths.scores, json.dumps(scores, indent=1, sort_keys=True))
    feed = MlflowFeed(spec.tracked_run, attempt.journal)
    feed.metrics(attempt.journal.metrics(step, {f"evaluate/{name}": value for name, value in scores.items()}))
    feed.artifact(spec.paths.predictions, "evaluate")
    feed.close()


def finished_step(entries: list[Entry]) -> int | None:
    """The step at which training finished; None: it has not."""
    steps = [int(entry["step"]) for entry in entries if entry["event"] == "finished"]
    return steps[-1] if steps else None
