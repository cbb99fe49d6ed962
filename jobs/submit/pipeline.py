"""The stages of a run in their order: submit them as jobs that wait for one another, or run them on this machine."""

import re
import time
from collections.abc import Callable, Mapping, Sequence

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry, Journal, JournalReader, read_journal
from jobs.history.progress import parts_left
from jobs.history.submissions import Submission, is_ours, job_ids, since_typed, submissions, token
from jobs.slurm import answers as slurm
from jobs.slurm.commands import SlurmCluster
from jobs.slurm.patience import Patience
from jobs.slurm.sbatch import Order, submit_to_slurm
from jobs.spec.errors import EXIT_FAILED, ConfigError, NoAnswer
from jobs.spec.find import name_to_type
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import AFTER_ANY, Stage, StageJob, dependency
from jobs.submit.local_run import run_job

POLL_SECONDS = 0.2
ANSWER_SECONDS = 120.0
"""How long a command that a person typed waits for a controller that does not answer."""
Tell = Callable[[str, float], None]
"""Called before each pause while the controller does not answer: with Slurm's error, and the seconds."""
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


def typed_patience(tell: Tell) -> Patience:
    """How long a command that a person typed waits for a controller that does not answer."""
    return Patience(ANSWER_SECONDS, tell)


def submit_jobs(spec: RunSpec, stages: Sequence[Stage], journal: Journal, tell: Tell) -> list[Submission]:
    """Submit the stages as dependent jobs.

    Raises:
        ConfigError: sbatch refused a job, or Slurm does not answer; the jobs submitted before it are cancelled.
    """
    patience = typed_patience(tell)
    submitted, cluster = list[str](), SlurmCluster.of(spec.profile)
    try:
        previous: list[str] = []
        for stage in stages:
            after, jobs = dependency(stage, previous) if previous else None, stage_jobs(spec, stage)
            previous = []
            order = Order(stage, jobs, after, f"{token(spec)}{stage}:{journal.path.stem}")
            for job_id, indices in submit_to_slurm(cluster, spec, order, patience):
                previous.append(job_id)
                submitted.append(job_id)
                parts = tuple(jobs[index].part for index in indices)
                journal.write(events.Submitted(stage=stage, parts=parts, job_id=job_id, after=after))
    except BaseException as error:
        if not submitted:
            raise
        failure = _cancelled(cluster, submitted)
        journal.write(events.SubmissionFailed(cancelled=submitted, error=failure))
        if isinstance(error, ConfigError):
            end = f"are not cancelled: {failure}" if failure else "are cancelled"
            hint = f"when Slurm accepts all jobs: regrow resume {name_to_type(spec)}"
            raise type(error)(f"{error}\nthe run's other jobs ({', '.join(submitted)}) {end}\nhint: {hint}") from None
        raise
    return [found for found in submissions(read_journal(spec.paths.journal)) if found.job_id in submitted]


def _cancelled(cluster: SlurmCluster, job_ids: Sequence[str]) -> str:
    """Cancel the jobs. Why that failed; empty: it worked."""
    try:
        return cluster.cancel(job_ids)
    except NoAnswer as error:
        return str(error)


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
    try:
        jobs = SlurmCluster.of(spec.profile).jobs_of_user()
    except NoAnswer:
        return True
    return jobs is None or bool(active_jobs(spec, jobs))


def active_jobs(spec: RunSpec, jobs: Mapping[str, slurm.QueuedJob]) -> list[str]:
    """Which of a user's jobs belong to the run and have not ended, oldest first. The journal does not know a job whose
    submission got no answer."""
    known = set(job_ids(read_journal(spec.paths.journal)))
    active = ((job_id, job) for job_id, job in jobs.items() if job.state in slurm.ACTIVE_STATES)
    ours = [job_id for job_id, job in active if is_ours(spec, job_id, job, known)]
    return sorted(ours, key=lambda job_id: [int(number) for number in re.findall(r"\d+", job_id)])


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
