"""`regrow export`."""

from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.options import Cluster, Run, Settings
from jobs.cli.screen.say import say


def export(
    run: Run,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new folder. Default: `export/` in the run folder.")
    ] = None,
    merged: Annotated[
        bool, typer.Option("--merged", help="Merge the adapter into its base model, and compare the two.")
    ] = False,
    cluster: Cluster = "local",
    settings: Settings = [],  # noqa: B006
) -> None:
    """Write a run's final model into a folder, with a card and checksums."""
    from rich.console import Console

    from jobs.export.export import export as export_model
    from jobs.spec.find import named_run

    spec = named_run(run, cluster, settings)
    folder = output or spec.paths.exported("merged" if merged else "model")
    with Console(stderr=True).status("export"):
        made = export_model(spec, folder, merged)
    say(f"{made}\nhint: `cd {made} && sha256sum -c SHA256SUMS` compares the files")
