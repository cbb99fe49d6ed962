"""What the shell completes: names of runs and of clusters."""

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from typer.core import TyperCommand

from jobs.spec.errors import ConfigError
from jobs.spec.paths import REPO_ROOT


class RunName(click.types.StringParamType):
    """The name of a run. The shell completes it from the folder of runs of `--cluster`."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from jobs.spec.profile import load_profile

        try:
            profile = load_profile(ctx.params.get("cluster") or "local", ctx.params.get("settings") or [])
        except ConfigError:  # typed only in part; the command itself will say what is wrong
            return []
        names = sorted(path.parent.name for path in Path(profile.runs_root).glob("*/run.json"))
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class ClusterName(click.types.StringParamType):
    """The name of a profile. The shell completes it from the files in slurm/."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        names = sorted(path.stem for path in (REPO_ROOT / "slurm").glob("*.yml"))
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


TYPES = {"cluster": ClusterName(), **dict.fromkeys(("run", "models", "baseline", "a", "b"), RunName())}
"""The type for each parameter's name."""


class Verb(TyperCommand):
    """A command whose parameters can be completed by the shell."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            parameter.type = TYPES.get(parameter.name or "", parameter.type)
