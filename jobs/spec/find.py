"""Finds the run that a user named, and the name under which a command finds it again."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from jobs.spec.errors import ConfigError
from jobs.spec.paths import RunPaths
from jobs.spec.profile import load_profile
from jobs.spec.run_spec import RunSpec


def find_run(run: str, runs_root: Path) -> RunSpec:
    """The run with this name, or in this run folder.

    Raises:
        ConfigError: there is no such run, or its run.json cannot be read.
    """
    return RunSpec.load(find_run_dir(run, runs_root))


def find_run_dir(run: str, runs_root: Path) -> Path:
    """The folder of a run.

    Raises:
        ConfigError: there is no such run.
    """
    for run_dir in (runs_root / run, Path(run)):
        if RunPaths(run_dir).run_json.exists():
            return run_dir.resolve()
    raise ConfigError(f"{run}: no such run in {runs_root}\nhint: `regrow status` lists all runs")


def name_to_type(spec: RunSpec) -> str:
    """The argument for another command, for a shell: the run's name, or its folder if the command would look elsewhere."""
    run_dir = spec.paths.run_dir
    return spec.name if run_dir.parent == Path(load_profile("local").runs_root) else shlex.quote(str(run_dir))


def named_run(run: str, cluster: str, settings: Sequence[str]) -> RunSpec:
    """The run that a user named in a command, with the command's `--cluster` and `--set`.

    Raises:
        ConfigError: there is no such run or profile, or one of them cannot be read.
    """
    return find_run(run, Path(load_profile(cluster, settings).runs_root))
