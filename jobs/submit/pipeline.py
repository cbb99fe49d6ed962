"""The stages of a run in their order: submit them as jobs that wait for one another, or run them on this machine."""

import time
from collections.abc import Callable, Sequence

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry, Journal, JournalReader, read_journal
from jobs.history.progress import parts_left
from jobs.history.submissions import Submission, job_ids, since_typed, submissions
from jobs.slurm import commands as slurm
from jobs.slurm.commands import SlurmCluster
from jobs.slurm.sbatch import submit_to_slurm
from jobs.spec.errors import EXIT_FAILED
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import AFTER_ANY, Stage, StageJob, dependency
from jobs.submit.local_run import run_job

POLL_SECONDS = 0.2
QUEUE_SECONDS = 3.0
"""The time between two looks at the queue with `--wait`; a controller serves many users."""


def run_locally(spec: RunSpec, stages: Sequence[Stage], follow: Callable[[list[Entry]], None]) -> int:
    """Run the stages one after the other through submitit's LocalExecutor.

    Args:
        follow: gets the journal's new entries while a stage runs.

    Returns:
        The exit code of the first stage that failed; 0: all stages finished.

    Raises:
        KeyboardInterrupt: Ctrl-C; the work so far is saved.
    """
    exit_code, reader = 0, JournalReader(spec.paths.journal)
    for stage in stages:
        for stage_job in stage_jobs(spec, stage):
            if exit_code and stage not in AFTER_ANY:
                break
            run_job(spec, stage_job, lambda: follow(reader.new_entries()), login_journal(spec))
            if stage_job.part in parts_left(spec, read_journal(spec.paths.journal), stage):
                exit_code = exit_code or stage_exit_code(spec, stage)
    return exit_code


def stage_jobs(spec: RunSpec, stage: Stage) -> list[StageJob]:
    """The jobs for a stage's unfinished parts. If all parts are finished, all of them: the user wants the stage again."""
    left = parts_left(spec, read_journal(spec.paths.journal), stage) or range(spec.parts(stage))
    return [StageJob(str(spec.paths.run_dir), stage, part) for part in left]


def submit_jobs(spec: RunSpec, stages: Sequence[Stage], journal: Journal) -> list[Submission]:
    """Submit the stages as dependent jobs.

    Raises:
        ConfigError: sbatch refused a job; the jobs submitted before it are cancelled.
    """
    submitted, cluster = list[str](), SlurmCluster(spec.profile.slurm_conf)
    try:
        previous: list[str] = []
        for stage in stages:
            after, jobs = dependency(stage, previous) if previous else None, stage_jobs(spec, stage)
            previous = []
            for job_id, indices in submit_to_slurm(cluster, spec, stage, jobs, after):
                previous.append(job_id)
                submitted.append(job_id)
                parts = tuple(jobs[index].part for index in indices)
                journal.write(events.Submitted(stage=stage, parts=parts, job_id=job_id, after=after))
    except BaseException:
        if submitted:
            error = cluster.cancel(submitted)
            journal.write(events.SubmissionFailed(cancelled=submitted, error=error))
        raise
    return [found for found in submissions(read_journal(spec.paths.journal)) if found.job_id in submitted]


def wait_for_jobs(spec: RunSpec, stages: Sequence[Stage], follow: Callable[[list[Entry]], None]) -> int:
    """Wait until the stages' jobs and their successors have ended.

    Returns:
        0: all stages have finished; else the exit code of the first stage that has not.
    """
    reader, ask_at = JournalReader(spec.paths.journal), 0.0
    follow(since_typed(reader.new_entries(), stages[0]))  # what was before a resume is known
    while True:
        follow(reader.new_entries())
        if time.monotonic() >= ask_at:
            if not has_active_jobs(spec):
                break
            ask_at = time.monotonic() + QUEUE_SECONDS
        time.sleep(POLL_SECONDS)
    follow(reader.new_entries())
    return next(filter(None, (stage_exit_code(spec, stage) for stage in stages)), 0)


def has_active_jobs(spec: RunSpec) -> bool:
    """Whether a job of the run may still work; also True if Slurm does not answer."""
    jobs = SlurmCluster(spec.profile.slurm_conf).jobs_of_user()
    if jobs is None:
        return True
    mine = job_ids(read_journal(spec.paths.journal))
    return any(jobs[job_id].state in slurm.ACTIVE_STATES for job_id in mine if job_id in jobs)


def login_journal(spec: RunSpec) -> Journal:
    """A new journal for a command that a person typed."""
    return Journal.of_writer(str(spec.paths.journal / f"login-{time.time_ns()}"), "cli")


def stage_exit_code(spec: RunSpec, stage: Stage) -> int:
    """How a stage ended, by the journal. submitit's own result only says whether an exception was raised.

    Returns:
        0: all its parts are done; else the exit code of the last part that failed.
    """
    entries = read_journal(spec.paths.journal)
    left = parts_left(spec, entries, stage)
    failed = [entry for entry in only(since_typed(entries, stage), events.StageFailed) if entry.stage == stage]
    codes = [entry.exit_code for entry in failed if entry.part in left]
    return (codes[-1] if codes else EXIT_FAILED) if left else 0
