"""`regrow evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.options import Cluster, DryRun, Settings, Wait
from jobs.cli.screen.say import say


def evaluate(
    models: Annotated[
        list[str], typer.Argument(metavar="RUN|CHECKPOINT...", help="Runs, checkpoints or model folders.")
    ],
    data: Annotated[Path, typer.Option(help="File with the records: a JSON array or JSON lines.")],
    shards: Annotated[int | None, typer.Option(min=1, help="Jobs per model. Default: the config's value.")] = None,
    checkpoints: Annotated[
        str, typer.Option(help="Checkpoints of each run: last, all, or the number of the newest.")
    ] = "last",
    baseline: Annotated[
        str | None, typer.Option(metavar="RUN|CHECKPOINT", help="Compare the other models with this one.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Config with the prompts. Default: the first run's config.")
    ] = None,
    cluster: Cluster = "local",
    name: Annotated[str | None, typer.Option(help="Name of the evaluation. Default: `evaluate` and the time.")] = None,
    settings: Settings = [],  # noqa: B006
    dry_run: DryRun = False,
    wait: Wait = False,
) -> None:
    """Evaluate models on the records of a file. One array of jobs, then scores and comparisons, also in MLflow."""
    from jobs.cli.screen.dry_run import job_texts
    from jobs.cli.start import say_that_slurm_is_silent, start_run
    from jobs.evaluation.request import Request, evaluation_spec
    from jobs.submit.start import create_run

    request = Request(models, data, cluster, settings, name, config, checkpoints, shards, baseline)
    spec = evaluation_spec(request)
    if dry_run:
        say("\n".join(job_texts(spec)))
        return
    spec = create_run(spec, say_that_slurm_is_silent)
    raise typer.Exit(start_run(spec, spec.stages, wait))
