"""`regrow cancel`."""

from jobs.cli.options import Cluster, Run, Settings
from jobs.cli.screen.say import say


def cancel(run: Run, cluster: Cluster = "local", settings: Settings = []) -> None:  # noqa: B006
    """Cancel a run's jobs. Saved work is kept; `regrow resume` continues from it."""
    from jobs.cli.start import say_that_slurm_is_silent
    from jobs.spec.find import name_to_type, named_run
    from jobs.submit.resume import cancel_run
    from jobs.tracking.sync import sync_soon

    spec = named_run(run, cluster, settings)
    cancelled = cancel_run(spec, say_that_slurm_is_silent)
    say(f"cancelled jobs {', '.join(cancelled)}" if cancelled else f"{spec.name} has no jobs in the queue")
    if cancelled and not sync_soon(spec, seconds=15):
        say(f"MLflow does not show this yet\nhint: regrow sync {name_to_type(spec)}", err=True)
