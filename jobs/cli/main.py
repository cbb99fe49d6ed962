"""The whole command line. Errors of users become a message and exit code 2."""

import errno
import os
import signal
import sys
from io import TextIOWrapper
from typing import Annotated

import typer
from dev_cluster.cli import app as dev_cluster_app
from dev_cluster.cluster import DevClusterError

from jobs.cli.cancel import cancel
from jobs.cli.check import check
from jobs.cli.compare import compare
from jobs.cli.completion import Verb
from jobs.cli.data import app as data_app
from jobs.cli.demo import demo
from jobs.cli.evaluate import evaluate
from jobs.cli.export import export
from jobs.cli.logs import logs
from jobs.cli.plan import plan
from jobs.cli.report import report
from jobs.cli.resume import resume
from jobs.cli.screen.say import say
from jobs.cli.status import status
from jobs.cli.submit import submit
from jobs.cli.sync import sync
from jobs.cli.verify import verify
from jobs.spec.errors import EXIT_CONFIG, EXIT_FAILED, ConfigError
from jobs.spec.paths import REPO_ROOT

app = typer.Typer(
    help="Axolotl fine-tuning on Slurm that grows back after preemption.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for verb in (submit, check, plan, demo, evaluate, compare, export, cancel, resume, logs, report, sync, verify, status):
    app.command(cls=Verb)(verb)
app.add_typer(data_app, name="data")
app.add_typer(dev_cluster_app, name="dev-cluster")


def print_version(is_asked: bool) -> None:
    """Print the versions that a fault report needs, and exit. If `is_asked` is False, do nothing."""
    if is_asked:
        from importlib.metadata import version
        from platform import python_version

        say(f"regrow {version('regrow')} (Python {python_version()}, packages from {REPO_ROOT})")
        raise typer.Exit


@app.callback()
def regrow(
    is_version_asked: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=print_version,
            is_eager=True,
            help="Print the version, Python's version and the packages' folder.",
        ),
    ] = False,
) -> None:
    """Hold the options of `regrow` itself. The help text comes from the app."""


def main() -> None:
    """Entry point. Errors of users are printed without a traceback.

    Exit codes: 0 done, 1 the work failed, 2 usage or config, 75 temporary.
    """
    from data_prep.records import RecordError

    # SIGTERM becomes an exception, so that a foreground run ends its jobs.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, TextIOWrapper):  # None: it is closed
            output.reconfigure(errors="replace")  # a terminal that cannot show a character must not end the command
    try:
        app()
    except (ConfigError, RecordError, DevClusterError) as error:
        say(error, err=True)
        sys.exit(EXIT_CONFIG)
    except OSError as error:  # of a file system, or of the output
        say(error, err=True)
        sys.exit(EXIT_FAILED)
    finally:
        _flush()


def _flush() -> None:
    """Write the rest of the output now: the interpreter would only print "Exception ignored" if that fails."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE:  # whoever reads has seen enough
            say(f"the output cannot be written: {error}", err=True)
            sys.exit(EXIT_FAILED)


if __name__ == "__main__":
    main()
