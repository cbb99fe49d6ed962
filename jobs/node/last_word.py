"""`python -m jobs.node.last_word RUN_DIR STAGE CODE`: the batch script's last command. It acts for a stage that was killed."""

import sys
from collections.abc import Sequence
from pathlib import Path
from time import sleep

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry, read_journal
from jobs.history.submissions import has_successor, job_ids, part_of
from jobs.node.attempt import Attempt, current_attempt, own_job_id
from jobs.node.handover import finish, leave
from jobs.node.requeue_policy import Cause
from jobs.spec.errors import EXIT_FAILED
from jobs.spec.paths import RunPaths
from jobs.spec.stages import STAGES, StageJob

START_PAUSE_SECONDS = 20.0
"""If Slurm could not start the stage's process, it may do so later: for example after its controller has restarted, it does not
know the GPUs of its nodes for some seconds."""


def main() -> None:
    run_dir, name, code = sys.argv[1:]
    stage = next(stage for stage in STAGES if stage == name)
    entries = read_journal(RunPaths(Path(run_dir)).journal)
    part = part_of(entries, own_job_id())
    if own_job_id() not in job_ids(entries):
        return  # a job that Slurm accepted without an answer, and that was submitted again
    attempt = current_attempt(StageJob(run_dir, stage, part), writer="last_word")
    said = attempt.entries()
    left = only(said, events.Left)
    if only(said, events.StageFinished):
        finish(attempt, was_killed=True)
        return
    if only(said, events.StageFailed) or (left and _is_done(left[-1], said, has_successor(entries, attempt.job_id))):
        return
    cause = left[-1].cause if left else _cause(attempt, has_begun=bool(only(said, events.StageStarted)))
    if cause == "not_started":
        sleep(START_PAUSE_SECONDS)
    decision = leave(attempt, cause, f"the stage's process ended without a message; its exit code was {code}")
    if decision.action == "fail":
        attempt.say(events.StageFailed(stage=stage, part=part, message=decision.reason, exit_code=EXIT_FAILED))


def _cause(attempt: Attempt, has_begun: bool) -> Cause:
    now = attempt.cause_by(attempt.record())
    return now if now in ("preempted", "timed_out") else "crashed" if has_begun else "not_started"


def _is_done(left: events.Left, said: Sequence[Entry], has_successor: bool) -> bool:
    """Whether the stage has done what it decided. It may have been killed before."""
    match left.action:
        case "requeue" | "successor":
            return has_successor or bool(only(said, events.Requeued))
        case "fail":
            return False  # the run's end is not written yet
        case _:
            return True


if __name__ == "__main__":
    main()
