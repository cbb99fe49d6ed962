"""`regrow sync`."""

import typer

from jobs.cli.options import Cluster, Run, Settings
from jobs.cli.screen.say import say


def sync(run: Run, cluster: Cluster = "local", settings: Settings = []) -> None:  # noqa: B006
    """Post to MLflow what it lacks of a run, for example after an outage."""
    from rich.console import Console

    from callbacks.shared.tracking import is_refusal
    from jobs.spec.find import name_to_type, named_run
    from jobs.submit.pipeline import login_journal
    from jobs.tracking.sync import RunSync

    spec = named_run(run, cluster, settings)
    try:
        with Console(stderr=True).status("MLflow"):
            posted = RunSync(spec, login_journal(spec)).post()
    except Exception as error:  # the user needs to see every error of MLflow
        before = "first change what MLflow refuses; then " if is_refusal(error) else ""
        say(
            f"{spec.profile.tracking_uri}: {type(error).__name__}: {error}; nothing is lost\n"
            f"hint: {before}`regrow sync {name_to_type(spec)}` tries again",
            err=True,
        )
        raise typer.Exit(1) from None
    say(", ".join(f"{count:,} {what}" for what, count in posted.items() if count) or "MLflow has everything")
