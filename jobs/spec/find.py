"""Finds a run by what somebody typed, and says what to type for a run."""

from collections.abc import Sequence
from pathlib import Path

from jobs.spec.errors import ConfigError
from jobs.spec.paths import RunPaths
from jobs.spec.profile import load_profile
from jobs.spec.run_spec import RunSpec


def find_run(run: str, runs_root: Path) -> RunSpec:
    """The run of a name, or of a run folder's path.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    return RunSpec.load(find_run_dir(run, runs_root))


def find_run_dir(run: str, runs_root: Path) -> Path:
    """The folder of a run.

    Raises:
        ConfigError: there is none.
    """
    for run_dir in (runs_root / run, Path(run)):
        if RunPaths(run_dir).run_json.exists():
            return run_dir.resolve()
    raise ConfigError(f"{run}: no such run in {runs_root}; `regrow status` lists them")


def typed_name(spec: RunSpec) -> str:
    """What to type for the run in another command: its name, or its folder where that command looks elsewhere."""
    run_dir = spec.paths.run_dir
    return spec.name if run_dir.parent == Path(load_profile("local").runs_root) else str(run_dir)


def typed_run(run: str, cluster: str, settings: Sequence[str]) -> RunSpec:
    """The run that somebody named in a command, with its `--cluster` and `--set`.

    Raises:
        ConfigError: there is no such run or profile, or it cannot be read.
    """
    return find_run(run, Path(load_profile(cluster, settings).runs_root))
