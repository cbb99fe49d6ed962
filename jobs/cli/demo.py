"""`regrow demo`."""

from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.options import Name, Settings
from jobs.cli.screen.say import say


def demo(
    folder: Annotated[Path, typer.Option(help="Folder for the synthetic records and the toy model.")] = Path(
        "data/demo"
    ),
    seed: Annotated[int, typer.Option(help="Random seed for records, model and training.")] = 1,
    name: Name = None,
    settings: Settings = [],  # noqa: B006
    prepare_only: Annotated[
        bool, typer.Option("--prepare-only", help="Make the records and the model; do not train.")
    ] = False,
) -> None:
    """Run the whole pipeline on this machine. It uses synthetic records and a toy model."""
    from jobs.cli.start import submit_run
    from jobs.spec.paths import REPO_ROOT
    from jobs.spec.resolve import load_run_spec
    from jobs.submit.demo import prepare_demo

    config, folder_settings = prepare_demo(folder, seed)
    if prepare_only:
        say(f"the records and the toy model for {config.relative_to(REPO_ROOT)} are in {folder}/seed{seed}")
        return
    spec = load_run_spec(config, "local", [*folder_settings, *settings], name)
    raise typer.Exit(submit_run(spec))
