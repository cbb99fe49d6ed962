"""What the shell completes: names of runs and of clusters."""

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from typer.core import TyperCommand

from jobs.spec.errors import ConfigError
from jobs.spec.paths import REPO_ROOT


class RunName(click.types.StringParamType):
    """Text that is completed to a run in the `--cluster`'s folder of runs."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from jobs.spec.profile import load_profile

        try:
            profile = load_profile(ctx.params.get("cluster") or "local", ctx.params.get("settings") or [])
        except ConfigError:  # half typed; the command itself will say what is wrong
            return []
        names = sorted(path.parent.name for path in Path(profile.runs_root).glob("*/run.json"))
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class ClusterName(click.types.StringParamType):
    """Text that is completed to a profile in slurm/."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        names = sorted(path.stem for path in (REPO_ROOT / "slurm").glob("*.yml"))
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


TYPES = {"cluster": ClusterName(), **dict.fromkeys(("run", "models", "baseline", "a", "b"), RunName())}
"""By the name of a verb's parameter."""


class Verb(TyperCommand):
    """A command whose parameters complete the names that they take."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            parameter.type = TYPES.get(parameter.name or "", parameter.type)
