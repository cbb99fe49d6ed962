"""`regrow submit`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.options import Cluster, DryRun, Name, Settings, Wait
from jobs.cli.screen.say import say


def submit(
    config: Annotated[
        Path | None,
        typer.Argument(help="Axolotl config; regrow's own keys are under `regrow:`. Or a script, as --trainer."),
    ] = None,
    cluster: Cluster = "local",
    name: Name = None,
    settings: Settings = [],  # noqa: B006 (typer's way to write a repeatable option)
    trainer: Annotated[
        Path | None, typer.Option(help="Python script that trains instead of Axolotl, and calls callbacks.attach.")
    ] = None,
    dry_run: DryRun = False,
    wait: Wait = False,
    check: Annotated[bool, typer.Option("--check/--no-check", help="Run `regrow check` before submitting.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Submit despite errors of the check.")] = False,
) -> None:
    """Submit a run of CONFIG, or of a script, to a cluster. Its stages are prepare, train, evaluate and report."""
    from jobs.cli.screen.dry_run import dry_run_text
    from jobs.cli.start import submit_run
    from jobs.spec.resolve import load_run_spec

    what = config or trainer
    if what is None:
        raise typer.BadParameter("name a config, a script (--trainer FILE), or both")
    named = [f"regrow.trainer={json.dumps(str(trainer))}"] if trainer else []
    spec = load_run_spec(what, cluster, [*settings, *named], name)
    if dry_run:
        text, has_errors = dry_run_text(spec)
        say(text)
        raise typer.Exit(2 if has_errors else 0)
    raise typer.Exit(submit_run(spec, wait, check, force))
