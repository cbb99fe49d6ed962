"""`python -m jobs.node.last_word RUN_DIR STAGE CODE`: the batch script's last command. It acts for a stage that was killed."""

import sys
from pathlib import Path
from time import sleep

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import read_journal
from jobs.history.submissions import job_ids, part_of
from jobs.node.attempt import current_attempt, own_job_id
from jobs.node.handover import leave
from jobs.node.requeue_policy import Cause
from jobs.spec.errors import EXIT_FAILED
from jobs.spec.paths import RunPaths
from jobs.spec.stages import STAGES, StageJob

START_PAUSE_SECONDS = 20.0
"""If Slurm could not start the stage's process, it may do so later: for example after its controller has restarted, it does not
know the GPUs of its nodes for some seconds."""
SPOKEN = (events.Left, events.StageFinished)
"""The last event of a stage that was not killed."""


def main() -> None:
    run_dir, name, code = sys.argv[1:]
    stage = next(stage for stage in STAGES if stage == name)
    entries = read_journal(RunPaths(Path(run_dir)).journal)
    part = part_of(entries, own_job_id())
    if own_job_id() not in job_ids(entries):
        return  # a job that Slurm accepted without an answer, and that was submitted again
    attempt = current_attempt(StageJob(run_dir, stage, part), writer="last_word")
    if any(isinstance(entry, SPOKEN) for entry in attempt.entries()):
        return
    now = attempt.cause_by(attempt.record())
    has_begun = bool(only(attempt.entries(), events.StageStarted))
    cause: Cause = now if now in ("preempted", "timed_out") else "crashed" if has_begun else "not_started"
    if cause == "not_started":
        sleep(START_PAUSE_SECONDS)
    decision = leave(attempt, cause, f"the stage's process ended without a message; its exit code was {code}")
    if decision.action == "fail":
        failed = events.StageFailed(stage=stage, part=part, message=decision.reason, exit_code=EXIT_FAILED)
        attempt.journal.write(failed)


if __name__ == "__main__":
    main()
