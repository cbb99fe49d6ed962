"""`regrow status`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.options import AsJson, Cluster, Settings
from jobs.cli.screen.say import say
from jobs.spec.errors import ConfigError


def status(
    run: Annotated[
        str | None, typer.Argument(help="Name of a run, or its folder. Default: all runs, newest first.")
    ] = None,
    cluster: Cluster = "local",
    settings: Settings = [],  # noqa: B006
    is_watched: Annotated[
        bool, typer.Option("--watch", help="Keep the screen up to date until Ctrl-C or the run's end.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the state and the progress of runs."""
    from rich.console import Console

    from jobs.cli.screen.status_screen import shown_runs, watch
    from jobs.history.runs import Runs
    from jobs.spec.find import find_run_dir
    from jobs.spec.profile import load_profile

    runs_root, console = Path(load_profile(cluster, settings).runs_root), Console(highlight=False)
    run_dir = find_run_dir(run, runs_root) if run else None
    runs = Runs(run_dir.parent, run_dir.name) if run_dir else Runs(runs_root)
    statuses = runs.statuses()
    if is_watched and (as_json or not console.is_terminal):
        raise ConfigError(
            "--watch needs a terminal, and no --json\nhint: in a script, call `regrow status --json` repeatedly"
        )
    if as_json:
        found = [status.to_dict(with_attempts=run is not None) for status in statuses]
        say(json.dumps(found, ensure_ascii=False, indent=1))
    elif is_watched:
        watch(console, runs.statuses, run)
    else:
        console.print(shown_runs(statuses, run) if statuses else f"no runs in {runs_root}")
