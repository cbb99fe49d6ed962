"""`regrow compare`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.options import AsJson, Cluster, Settings
from jobs.cli.screen.say import say


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A run; or RUN/MODEL, where a run evaluated several models.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The run or RUN/MODEL to compare A with.")],
    ranks: Annotated[
        int | None, typer.Option(min=1, help="Ask whether A completes on so many ranks. Default: on 4 GPUs.")
    ] = None,
    cluster: Cluster = "local",
    settings: Settings = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Compare two evaluated models. Print differences with intervals, tests, speed, memory, and the criteria of success."""
    from jobs.evaluation.compare_runs import compare_runs
    from jobs.spec.profile import load_profile

    found = compare_runs(a, b, Path(load_profile(cluster, settings).runs_root), ranks)
    say(json.dumps(found.to_dict(), ensure_ascii=False, indent=1) if as_json else str(found))
