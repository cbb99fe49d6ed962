"""`regrow check`."""

from typing import Annotated

import typer

from jobs.cli.options import AsJson, Config, Settings
from jobs.spec.errors import ConfigError


def check(
    config: Config,
    cluster: Annotated[
        str | None, typer.Option(help="A cluster profile: slurm/NAME.yml, or a path. Default: check no site.")
    ] = None,
    settings: Settings = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Find what would waste the queue. Wrong keys, untrained experts, too little memory, leaks, limits; exits 2 at an error."""
    from jobs.check.report import CheckReport, check_run, report_json
    from jobs.check.shared.finding import Finding, Place
    from jobs.spec.resolve import load_run_spec

    try:
        report = check_run(load_run_spec(config, cluster or "local", settings), with_site=cluster is not None)
    except ConfigError as error:
        wrong = Finding(
            "error",
            "schema.invalid",
            Place(str(config)),
            str(error),
            "nothing else can be looked at",
            "correct it first",
        )
        report = CheckReport([wrong])
    typer.echo(report_json(report) if as_json else str(report))
    raise typer.Exit(2 if report.errors else 0)
