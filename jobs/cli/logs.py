"""`regrow logs`."""

import sys
from contextlib import suppress
from typing import Annotated

import typer

from jobs.cli.options import Cluster, Run, Settings
from jobs.cli.screen.say import TerminalLog, printable
from jobs.spec.errors import ConfigError


def logs(
    run: Run,
    stage: Annotated[
        str | None, typer.Option(help="prepare, train, evaluate or report. Default: the newest stage.")
    ] = None,
    attempt: Annotated[int | None, typer.Option(min=1, help="Attempt number, from 1. Default: the newest.")] = None,
    task: Annotated[int | None, typer.Option(min=0, help="Array task of an evaluation, from 0.")] = None,
    is_followed: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new output, across requeues.")
    ] = False,
    cluster: Cluster = "local",
    settings: Settings = [],  # noqa: B006
) -> None:
    """Print the output of a stage's processes; to a terminal, without what would do more than colour it."""
    from jobs.history.logs import LogFollower, Wanted, print_log
    from jobs.history.runs import may_go_on
    from jobs.spec.find import named_run
    from jobs.spec.stages import STAGES

    known = next((each for each in STAGES if each == stage), None)
    if stage and not known:
        raise ConfigError(f"--stage {stage}: there is no such stage\nhint: the stages are {', '.join(STAGES)}")
    spec, wanted = named_run(run, cluster, settings), Wanted(known, attempt, task)
    output = TerminalLog(sys.stdout.buffer) if sys.stdout.isatty() else sys.stdout.buffer
    if not is_followed:
        print_log(spec, wanted, output, _say)
        return
    with suppress(KeyboardInterrupt):  # the usual way to end it
        LogFollower(spec, wanted, output, _say).follow(may_go_on(spec))


def _say(text: str) -> None:
    """Print to stderr, so that a pipe gets only the log."""
    typer.secho(f"==> {printable(text)}", err=True, dim=True)
