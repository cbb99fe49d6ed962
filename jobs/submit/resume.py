"""Commands on an existing run: cancel it, resume it."""

from functools import partial

from callbacks.shared import events
from callbacks.shared.journal import read_journal
from jobs.history.progress import stages_finished
from jobs.slurm.commands import SlurmCluster
from jobs.slurm.patience import Patience
from jobs.spec.errors import ConfigError, NoAnswer
from jobs.spec.find import name_to_type
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import Stage
from jobs.submit.pipeline import Tell, active_jobs, login_journal, typed_patience


def cancel_run(spec: RunSpec, tell: Tell) -> list[str]:
    """Cancel the jobs of a run that have not ended; their ids. Only `regrow resume` brings them back.

    Raises:
        ConfigError: the run is on this machine, or Slurm does not answer.
    """
    if spec.profile.executor != "slurm":
        raise ConfigError(f"{spec.name} runs in the foreground of a terminal\nhint: press Ctrl-C in that terminal")
    patience, cluster, cancelled = typed_patience(tell), SlurmCluster.of(spec.profile), list[str]()
    while new := [job_id for job_id in active_job_ids(spec, patience) if job_id not in cancelled]:
        if not cancelled:
            login_journal(spec).write(events.CancelRequested(job_ids=new))
        newest_first = [*reversed(new)]  # the waiting jobs before those that run, so that none starts when another ends
        if error := patience.ask(partial(cluster.cancel, newest_first)):
            raise ConfigError(f"scancel: {error}")
        cancelled += new  # a successor may have been submitted meanwhile
    return cancelled


def active_job_ids(spec: RunSpec, patience: Patience) -> list[str]:
    """The run's jobs that have not ended, oldest first.

    Raises:
        ConfigError: Slurm does not answer.
    """
    cluster = SlurmCluster.of(spec.profile)
    try:
        jobs = patience.ask(cluster.jobs_of_user)
    except NoAnswer as error:
        raise NoAnswer(f"Slurm does not answer: {error}\nhint: try again later") from None
    if jobs is None:
        raise ConfigError(f"Slurm cannot be asked here: {cluster.why_not()}")
    return active_jobs(spec, jobs)


def stages_to_resume(spec: RunSpec, tell: Tell) -> list[Stage]:
    """The unfinished stages of a run that can be submitted now.

    Raises:
        ConfigError: the run's jobs have not ended, all its stages have finished, or Slurm does not answer.
    """
    stages = stages_left(spec)
    if not stages:
        raise ConfigError(f"{spec.name} has finished; there is nothing to resume")
    if spec.profile.executor == "slurm" and active_job_ids(spec, typed_patience(tell)):
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
