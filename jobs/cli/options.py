"""Arguments and options of several commands."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Argument(help="Axolotl config; regrow's own keys are under `regrow:`.")]
Cluster = Annotated[str, typer.Option(help="Name of a profile (slurm/NAME.yml), or a path.")]
Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the config or the profile; repeat for several keys."),
]
Name = Annotated[str | None, typer.Option(help="Name of the run. Default: name of the config and time.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the jobs, and exit with the run's exit code.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would run; start nothing.")]
Run = Annotated[str, typer.Argument(help="Name of a run, or its folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
