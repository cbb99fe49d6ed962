"""`regrow demo`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from jobs.cli.options import Name, Settings
from jobs.cli.screen.say import say


def demo(
    folder: Annotated[Path, typer.Option(help="Folder for the synthetic records and the model.")] = Path("data/demo"),
    model: Annotated[
        Literal["toy", "smollm2"],
        typer.Option(help="Model to train: a toy of random weights, or SmolLM2-135M-Instruct, which is downloaded."),
    ] = "toy",
    chat: Annotated[
        bool, typer.Option("--chat", help="Train on records in the form of chat messages (with --model smollm2).")
    ] = False,
    seed: Annotated[int, typer.Option(help="Random seed for records, model and training.")] = 1,
    name: Name = None,
    settings: Settings = [],  # noqa: B006
    prepare_only: Annotated[
        bool, typer.Option("--prepare-only", help="Make the records and the model; do not train.")
    ] = False,
) -> None:
    """Run the whole pipeline on this machine, on synthetic records."""
    from jobs.cli.start import submit_run
    from jobs.spec.paths import REPO_ROOT
    from jobs.spec.resolve import load_run_spec
    from jobs.submit.demo import prepare_demo

    config, folder_settings = prepare_demo(folder, seed, model, "messages" if chat else "alpaca", tell=say)
    if prepare_only:
        say(f"the records and the model for {config.relative_to(REPO_ROOT)} are in {folder}")
        return
    spec = load_run_spec(config, "local", [*folder_settings, *settings], name)
    raise typer.Exit(submit_run(spec))
