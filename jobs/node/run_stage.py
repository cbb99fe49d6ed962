"""Runs a stage's work as one attempt of this process's job, from its first journal entry to its exit code."""

import os
import sys
from collections.abc import Callable

from callbacks.shared import events
from callbacks.shared.journal import STAGE_WRITER
from callbacks.shared.mlflow_process import MlflowProcess
from callbacks.shared.process.interpreter import leave_now
from data_prep.records import RecordError
from jobs.node.attempt import Attempt, StageFailed, Stopped, current_attempt
from jobs.node.children import watch_signals
from jobs.node.handover import finish, leave, release_lease
from jobs.node.requeue_policy import Cause
from jobs.node.successors import prepare_to_leave, rejoin
from jobs.spec.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_TEMPORARY, ConfigError
from jobs.spec.find import name_to_type
from jobs.spec.stages import Stage, StageJob
from jobs.tracking.sync import start_sync

MLFLOW_SECONDS: dict[Stage, float] = {"prepare": 15, "train": 10, "report": 300}
"""The stages that keep the MLflow run up to date, and how long each waits for MLflow at its end. The many jobs of an
evaluation do not: the report posts their results."""


def work_of(stage: Stage) -> Callable[[Attempt], None]:
    """The work of a stage. Only this stage's code is imported, so that a training starts sooner."""
    match stage:
        case "prepare":
            from jobs.node.prepare import prepare

            return prepare
        case "train":
            from jobs.node.train import train

            return train
        case "evaluate":
            from jobs.node.evaluate import evaluate

            return evaluate
        case "report":
            from jobs.node.report import report

            return report


def run_stage(job: StageJob) -> None:
    """Carry out a stage's work.

    Raises:
        SystemExit: with the stage's exit code (jobs/spec/errors.py); the journal has `stage_finished` or `left`.
    """
    watch_signals()
    attempt = current_attempt(job, writer=STAGE_WRITER)
    attempt.on_stop = prepare_to_leave
    attempt.say(
        events.StageStarted(
            stage=job.stage,
            part=job.part,
            job_id=attempt.job_id,
            attempt=attempt.restart_count,
            host=os.uname().nodename,
            pid=os.getpid(),
            cpus=len(os.sched_getaffinity(0)),
            log=str(attempt.log),
        )
    )
    mlflow = _start_sync(attempt)
    try:
        rejoin(attempt)
        attempt.look_for_preemption()
        work_of(job.stage)(attempt)
    except Stopped:
        _leave(attempt, mlflow, attempt.stop_cause or "unknown", EXIT_TEMPORARY)
    except StageFailed as error:
        _leave(attempt, mlflow, error.cause, error.exit_code, str(error))
    except (ConfigError, RecordError) as error:
        _leave(attempt, mlflow, "config", EXIT_CONFIG, str(error))
    except OSError as error:
        _leave(attempt, mlflow, "crashed", EXIT_FAILED, str(error))
    except BaseException as error:  # a fault of ours; in Slurm, the batch script's last word decides
        event, kind = events.Error if attempt.in_slurm else events.StageFailed, type(error).__name__
        attempt.say(event(stage=job.stage, part=job.part, type=kind, message=f"{kind}: {error}", exit_code=EXIT_FAILED))
        raise
    release_lease(attempt)
    attempt.say(events.StageFinished(stage=job.stage, part=job.part))
    finish(attempt)
    _close(attempt, mlflow)


def _start_sync(attempt: Attempt) -> MlflowProcess | None:
    """Start the process that posts to MLflow; None: this stage has none, or it did not start, which must not stop the stage."""
    seconds = MLFLOW_SECONDS.get(attempt.stage)
    if seconds is None:
        return None
    try:
        with attempt.log.open("ab") as log:
            return start_sync(attempt.spec, attempt.stem, log, seconds)
    except OSError as error:
        print(f"MLflow is not kept up to date: {error}", flush=True)
        return None


def _close(attempt: Attempt, mlflow: MlflowProcess | None) -> None:
    if mlflow and not mlflow.close(MLFLOW_SECONDS[attempt.stage] + 5):
        print(f"MLflow does not have everything yet\nhint: regrow sync {name_to_type(attempt.spec)}", flush=True)


def _leave(attempt: Attempt, mlflow: MlflowProcess | None, cause: Cause, exit_code: int, message: str = "") -> None:
    decision = leave(attempt, cause, message)
    text = "\n".join(filter(None, [message, decision.reason]))
    if decision.action == "fail":
        failed = events.StageFailed(stage=attempt.stage, part=attempt.part, message=text, exit_code=exit_code)
        attempt.say(failed)
        _close(attempt, mlflow)
    print(text, flush=True)
    if decision.action != "fail":
        leave_now(EXIT_TEMPORARY)
    sys.exit(exit_code)
