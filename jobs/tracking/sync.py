"""Posts a run to MLflow. `python -m jobs.tracking.sync RUN_DIR SECONDS` keeps the MLflow run up to date."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import IO

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import JOURNAL_ENV, Entry, Journal, JournalReader
from callbacks.shared.mlflow_process import MLFLOW_WRITER, MlflowProcess, keep_posting, keep_sampling
from callbacks.shared.mlflow_sync import MlflowSync
from callbacks.shared.process.interpreter import run_to_the_end
from jobs.evaluation.results import written_results
from jobs.history.time_spent import AttemptTimes, attempt_times, main_stage, steps_lost
from jobs.spec.paths import REPO_ROOT, child_environment
from jobs.spec.run_spec import RunSpec
from jobs.tracking.posting import post_results

SAMPLED = "train"
"""The stage whose machine is sampled: CPU, memory, disk, network, GPUs."""
MOST_ARRAY_TASKS = 16
"""The most attempts of array tasks that get a tag each."""


class RunSync:
    """A run and its place in MLflow."""

    def __init__(self, spec: RunSpec, journal: Journal) -> None:
        self._spec = spec
        reader = JournalReader(spec.paths.journal)
        self._own = MlflowSync(spec.tracked_run, reader, journal, run_tags) if spec.has_own_mlflow_run else None
        self._results = JournalReader(spec.paths.journal)
        self._has_results = False

    def post(self) -> Counter[str]:
        """Post everything that is missing in MLflow; the posted numbers of `MlflowSync.post`, and of models' results.

        Raises:
            Exception: any error of MLflow.
        """
        posted = self._own.post() if self._own else Counter[str]()
        self._has_results |= bool(only(self._results.new_entries(), events.Evaluated))
        if self._has_results:
            posted["results"] += post_results(self._spec, written_results(self._spec))
            self._has_results = False
        return posted


def run_tags(entries: list[Entry]) -> dict[str, str]:
    """A run's jobs, nodes and attempts as tags."""
    attempts = attempt_times(entries)
    main = [each for each in attempts if each.stage == main_stage(attempts)]
    shown = [each for each in attempts if each.stage != "evaluate"]
    arrays = [each for each in attempts if each.stage == "evaluate"]
    return {
        "slurm.job_ids": ", ".join(dict.fromkeys(each.job_id for each in main)),
        "slurm.nodes": ", ".join(dict.fromkeys(each.host for each in main)),
        "regrow.restarts": str(max(0, len(main) - len({each.part for each in main}))),
        "regrow.steps_lost": str(steps_lost(attempts)),
        **{f"attempt/{each.name}": _ending(each) for each in [*shown, *arrays[:MOST_ARRAY_TASKS]]},
    }


def _ending(attempt: AttemptTimes) -> str:
    steps = "" if attempt.first_step is None else f", steps {attempt.first_step} to {attempt.last_step}"
    return f"{attempt.host}{steps}: {attempt.ending}"


def start_sync(spec: RunSpec, stem: str, output: int | IO[bytes], seconds: float) -> MlflowProcess:
    """Start the process that keeps a run's MLflow run up to date.

    Args:
        stem: path of its journal, without the writer's name.
        output: where it prints.
        seconds: how long it may still post once it is told to end.
    """
    command = [sys.executable, "-m", "jobs.tracking.sync", str(spec.paths.run_dir), str(seconds)]
    return MlflowProcess(command, child_environment({JOURNAL_ENV: stem}), output, REPO_ROOT)


def sync_soon(spec: RunSpec, seconds: float) -> bool:
    """Post everything that is missing in MLflow, within `seconds`, from a login node; whether MLflow has everything."""
    stem = str(spec.paths.journal / f"login-{time.time_ns()}")
    return start_sync(spec, stem, subprocess.DEVNULL, seconds).close(seconds + 5)


def main() -> None:
    run_dir, seconds = sys.argv[1:]
    spec, stem = RunSpec.load(Path(run_dir)), os.environ[JOURNAL_ENV]
    journal = Journal.of_writer(stem, MLFLOW_WRITER)
    if Path(stem).name.startswith(f"{SAMPLED}-"):
        keep_sampling(journal, spec.submitted_at)
    keep_posting(RunSync(spec, journal).post, journal, float(seconds))


if __name__ == "__main__":
    run_to_the_end(main)
