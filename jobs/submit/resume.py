"""What is typed about a run that is there: find it, cancel it, resume it."""

from pathlib import Path

from callbacks.shared.journal import read_journal
from jobs.slurm import commands as slurm
from jobs.spec.errors import ConfigError
from jobs.spec.paths import RunPaths
from jobs.submit.pipeline import has_active_jobs, login_journal
from jobs.history.progress import stages_finished
from jobs.spec.resolve import RunSpec
from jobs.spec.stages import Stage
from jobs.history.submissions import job_ids
from jobs.submit.start import run_in_foreground, start_jobs


def find_run(run: str, runs_root: Path) -> RunSpec:
    """The run of a name, or of a run folder's path.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    return RunSpec.load(find_run_dir(run, runs_root))


def find_run_dir(run: str, runs_root: Path) -> Path:
    """The folder of a run.

    Raises:
        ConfigError: there is none.
    """
    for run_dir in (runs_root / run, Path(run)):
        if RunPaths(run_dir).run_json.exists():
            return run_dir.resolve()
    raise ConfigError(f"{run}: no such run in {runs_root}; `regrow status` lists them")


def cancel_run(spec: RunSpec) -> list[str]:
    """Cancel the jobs of a run that have not ended; their ids. Nothing brings them back but `regrow resume`.

    Raises:
        ConfigError: it runs on this machine, or Slurm does not answer.
    """
    if spec.profile.executor != "slurm":
        raise ConfigError(f"{spec.name} runs in the foreground of a terminal; press Ctrl-C there")
    slurm.use_cluster(spec.profile.slurm_conf)
    active, journal = active_job_ids(spec), login_journal(spec)
    if not active:
        return []
    journal.event("cancel_requested", job_ids=active)
    cancelled: list[str] = []
    while new := [
        job_id for job_id in active_job_ids(spec) if job_id not in cancelled
    ]:  # a successor may just have come
        if error := slurm.cancel(reversed(new)):  # what waits first: nothing starts because of what ends
            raise ConfigError(f"scancel: {error}")
        cancelled += new
    return cancelled


def active_job_ids(spec: RunSpec) -> list[str]:
    """The run's jobs that have not ended, oldest first.

    Raises:
        ConfigError: Slurm does not answer.
    """
    jobs = slurm.jobs_of_user()
    if jobs is None:
        raise ConfigError("Slurm does not answer; try again")
    ids = job_ids(read_journal(spec.paths.journal))
    return [job_id for job_id in ids if job_id in jobs and jobs[job_id].state in slurm.ACTIVE_STATES]


def resume_run(spec: RunSpec, wait: bool) -> int:
    """Submit what a run has not done: the same run, the same MLflow run, new jobs; the exit code as of `submit_run`.

    Raises:
        ConfigError: its jobs have not ended, or there is nothing left to do.
    """
    stages = stages_left(spec)
    if not stages:
        raise ConfigError(f"{spec.name} has finished; there is nothing to resume")
    if spec.profile.executor == "local":
        return run_in_foreground(spec, stages)
    slurm.use_cluster(spec.profile.slurm_conf)
    if has_active_jobs(spec):
        raise ConfigError(
            f"{spec.name} has jobs in the queue; see `regrow status {spec.typed}`, or `regrow cancel` it first"
        )
    return start_jobs(spec, stages, wait)


def stages_left(spec: RunSpec) -> list[Stage]:
    """What is not done; the report is made anew whenever something else was."""
    done = stages_finished(spec, read_journal(spec.paths.journal))
    left = [stage for stage in spec.stages if stage not in done]
    return [*left, "report"] if left and left[-1] != "report" else left
