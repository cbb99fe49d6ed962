"""RunSpec → submitit: the only user of submitit's executors."""

import inspect
from pathlib import Path
from typing import Any

import submitit
from submitit.slurm.slurm import SlurmExecutor, _make_sbatch_string

from jobs.config_error import ConfigError, nearest
from jobs.launch import python_of
from jobs.profile import STAGES, Stage
from jobs.spec import RunSpec

SHARED_PARAMETERS = frozenset(submitit.AutoExecutor._typed_parameters())
"""submitit's parameters that hold for every executor."""
SLURM_PARAMETERS = frozenset(
    f"slurm_{name}"
    for name in inspect.signature(_make_sbatch_string).parameters
    if name not in ("command", "folder", "map_count")
)


class SbatchFile(SlurmExecutor):
    """Builds the sbatch file on a machine without Slurm, for a dry run."""

    @classmethod
    def affinity(cls) -> int:
        return 2


def local_executor(spec: RunSpec, stage: Stage, here: str) -> submitit.LocalExecutor:
    """One stage on this machine."""
    executor = submitit.LocalExecutor(spec.paths.slurm, python=python_of(spec, here))
    parameters = {key: value for key, value in spec.profile.parameters(stage).items() if key in SHARED_PARAMETERS}
    setup = {"setup": list(spec.profile.setup)} if spec.profile.setup else {}
    executor.update_parameters(**parameters, **setup, stderr_to_stdout=True)
    return executor


def sbatch_text(spec: RunSpec, stage: Stage, here: str) -> str:
    """The sbatch file of one stage, as submitit writes it."""
    executor = SbatchFile(spec.paths.slurm, python=python_of(spec, here))
    executor.update_parameters(**executor._convert_parameters(_slurm_parameters(spec, stage)))
    text: str = executor._make_submission_file_text(executor._submitit_command_str, "")
    return text


def _slurm_parameters(spec: RunSpec, stage: Stage) -> dict[str, Any]:
    """The profile's parameters under the names of SlurmExecutor, which has no prefix."""
    parameters = {key.removeprefix("slurm_"): value for key, value in spec.profile.parameters(stage).items()}
    setup = [*spec.profile.setup, *parameters.pop("setup", [])]
    return {
        "name": f"{spec.name}-{stage}",
        "stderr_to_stdout": True,
        **parameters,
        **({"setup": setup} if setup else {}),
    }


def require_known_parameters(spec: RunSpec) -> None:
    """Raises ConfigError for a stage parameter that submitit does not have."""
    for stage in STAGES:
        for key in spec.profile.parameters(stage):
            if key not in SHARED_PARAMETERS | SLURM_PARAMETERS:
                place = Path("slurm") / f"{spec.cluster}.yml"
                known = SHARED_PARAMETERS | SLURM_PARAMETERS
                raise ConfigError(f"{place}: {stage}.{key}: submitit has no such parameter; {nearest(key, known)}")
