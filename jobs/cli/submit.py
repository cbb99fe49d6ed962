"""`regrow submit`."""

from typing import Annotated

import typer

from jobs.cli.options import Cluster, Config, DryRun, Name, Settings, Wait
from jobs.cli.screen.say import say


def submit(
    config: Config,
    cluster: Cluster = "local",
    name: Name = None,
    settings: Settings = [],  # noqa: B006 (typer's way to write a repeatable option)
    dry_run: DryRun = False,
    wait: Wait = False,
    check: Annotated[bool, typer.Option("--check/--no-check", help="Run `regrow check` before submitting.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Submit despite errors of the check.")] = False,
) -> None:
    """Submit a run of CONFIG to a cluster. Its stages are prepare, train, evaluate and report."""
    from jobs.cli.screen.dry_run import dry_run_text
    from jobs.cli.start import submit_run
    from jobs.spec.resolve import load_run_spec

    spec = load_run_spec(config, cluster, settings, name)
    if dry_run:
        text, has_errors = dry_run_text(spec)
        say(text)
        raise typer.Exit(2 if has_errors else 0)
    raise typer.Exit(submit_run(spec, wait, check, force))
