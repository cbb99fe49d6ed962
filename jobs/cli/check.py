"""`regrow check`."""

from typing import Annotated

import typer

from jobs.cli.options import AsJson, Config, Settings
from jobs.cli.screen.say import say
from jobs.spec.errors import ConfigError


def check(
    config: Config,
    cluster: Annotated[
        str | None, typer.Option(help="Name of a profile (slurm/NAME.yml), or a path. Default: do not check a site.")
    ] = None,
    settings: Settings = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Find errors before a job waits for them: keys, values, adapter, memory, records, limits. Exit with 2 at an error."""
    from jobs.check.report import CheckReport, check_run, report_json
    from jobs.check.shared.finding import Finding, Place
    from jobs.spec.resolve import load_run_spec

    try:
        report = check_run(load_run_spec(config, cluster or "local", settings), with_site=cluster is not None)
    except ConfigError as error:
        place, cost = Place(str(config)), "nothing else can be checked before this is corrected"
        report = CheckReport(
            [
                Finding.error("schema.invalid", place, found=found, cost=cost, fix=hint or "correct this")
                for found, hint in error.hints()
            ]
        )
    say(report_json(report) if as_json else str(report))
    raise typer.Exit(2 if report.errors else 0)
