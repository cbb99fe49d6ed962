"""`regrow resume`."""

import typer

from jobs.cli.options import Cluster, Run, Settings, Wait


def resume(run: Run, cluster: Cluster = "local", settings: Settings = [], wait: Wait = False) -> None:  # noqa: B006
    """Submit the unfinished stages of a run. New jobs continue the same run and the same MLflow run."""
    from jobs.cli.start import say_that_slurm_is_silent, start_run
    from jobs.spec.find import named_run
    from jobs.submit.resume import stages_to_resume

    spec = named_run(run, cluster, settings)
    raise typer.Exit(start_run(spec, stages_to_resume(spec, say_that_slurm_is_silent), wait))
