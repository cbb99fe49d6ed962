"""Commands on an existing run: cancel it, resume it."""

from callbacks.shared import events
from callbacks.shared.journal import read_journal
from jobs.history.progress import stages_finished
from jobs.slurm.commands import SlurmCluster
from jobs.spec.errors import ConfigError
from jobs.spec.find import name_to_type
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import Stage
from jobs.submit.pipeline import active_jobs, has_active_jobs, login_journal


def cancel_run(spec: RunSpec) -> list[str]:
    """Cancel the jobs of a run that have not ended; their ids. Only `regrow resume` brings them back.

    Raises:
        ConfigError: the run is on this machine, or Slurm does not answer.
    """
    if spec.profile.executor != "slurm":
        raise ConfigError(f"{spec.name} runs in the foreground of a terminal\nhint: press Ctrl-C in that terminal")
    active, journal = active_job_ids(spec), login_journal(spec)
    if not active:
        return []
    journal.write(events.CancelRequested(job_ids=active))
    cancelled: list[str] = []
    while new := [
        job_id for job_id in active_job_ids(spec) if job_id not in cancelled
    ]:  # a successor may have been submitted meanwhile
        # Waiting jobs first, so that none starts when another ends.
        if error := SlurmCluster.of(spec.profile).cancel(reversed(new)):
            raise ConfigError(f"scancel: {error}")
        cancelled += new
    return cancelled


def active_job_ids(spec: RunSpec) -> list[str]:
    """The run's jobs that have not ended, oldest first.

    Raises:
        ConfigError: Slurm does not answer.
    """
    jobs = SlurmCluster.of(spec.profile).jobs_of_user()
    if jobs is None:
        raise ConfigError("Slurm does not answer\nhint: try again later")
    return active_jobs(spec, jobs)


def stages_to_resume(spec: RunSpec) -> list[Stage]:
    """The unfinished stages of a run that can be submitted now.

    Raises:
        ConfigError: the run's jobs have not ended, or all its stages have finished.
    """
    stages = stages_left(spec)
    if not stages:
        raise ConfigError(f"{spec.name} has finished; there is nothing to resume")
    if spec.profile.executor == "slurm" and has_active_jobs(spec):
        name = name_to_type(spec)
        raise ConfigError(
            f"{spec.name} has jobs in the queue\nhint: `regrow status {name}`, or `regrow cancel {name}` first"
        )
    return stages


def stages_left(spec: RunSpec) -> list[Stage]:
    """The stages that are not done. The report is always made again after another stage."""
    done = stages_finished(spec, read_journal(spec.paths.journal))
    left = [stage for stage in spec.stages if stage not in done]
    return [*left, "report"] if left and left[-1] != "report" else left
