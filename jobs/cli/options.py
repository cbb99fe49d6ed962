"""Arguments and options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Argument(help="An Axolotl config; regrow's own keys stand under `regrow:`.")]
Cluster = Annotated[str, typer.Option(help="A cluster profile: slurm/NAME.yml, or a path.")]
Settings = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the config or the profile.")
]
Name = Annotated[str | None, typer.Option(help="Name of the run. Default: config and time.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the jobs to their end, and exit as the run does.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would run, and start nothing.")]
Run = Annotated[str, typer.Argument(help="A run's name, or its folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
