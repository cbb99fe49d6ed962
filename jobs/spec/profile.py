"""The cluster profile, which says where a run goes. One YAML file for each site, in `slurm/`."""

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from callbacks.shared.secrets import is_secret_uri, secrets_in
from jobs.spec.errors import ConfigError, nearest
from jobs.spec.paths import REPO_ROOT, from_root
from jobs.spec.settings import apply_setting, parse_setting
from jobs.spec.stages import STAGES, Stage
from jobs.spec.strict import Strict, explained
from jobs.spec.yaml_file import load_yaml

WHOLE_NUMBERS = frozenset(
    {"timeout_min", "nodes", "tasks_per_node", "gpus_per_node", "cpus_per_task", "slurm_signal_delay_s",
     "slurm_array_parallelism"}
)  # fmt: skip
LISTS = frozenset({"slurm_setup", "slurm_srun_args"})
"""Parameters of a stage that are of one kind; submitit would pass on any value to Slurm, or fail."""


PYTHON = "python"
"""The one key of a stage that submitit does not have."""
RESERVATION, MORE = "reservation", "slurm_additional_parameters"
FROM_SHELL = {
    "SBATCH_ACCOUNT": "slurm_account",
    "SBATCH_QOS": "slurm_qos",
    "SBATCH_PARTITION": "slurm_partition",
    "SBATCH_CONSTRAINT": "slurm_constraint",
    "SBATCH_WCKEY": "slurm_wckey",
    "SBATCH_RESERVATION": RESERVATION,
}
"""Variables by which a site or a user says something for all jobs (sbatch(1)), and the parameter of a stage for each."""


class Gpu(Strict):
    """The GPU of the nodes, for the memory check."""

    name: str
    """The name that the findings of the check show."""
    memory_gib: float = Field(gt=0)
    """Memory of one GPU, as `nvidia-smi` shows it: 80 for an A100-80G."""


class ClusterProfile(Strict):
    """Where a run goes, and with which limits."""

    executor: Literal["slurm", "local"]
    """`slurm`, or `local`: on this machine, one stage after the other in the foreground."""
    runs_root: str
    """The folder of all runs; at a site, on the scratch file system that the nodes share."""
    tracking_uri: str
    """MLflow's tracking URI. Put passwords and tokens into the environment, never into this file."""
    slurm_conf: str | None = None
    """Slurm's configuration (SLURM_CONF), if a login node serves several clusters. Default: that of the machine."""
    slurm_bin: str | None = None
    """The folder of Slurm's commands, if they are not on the PATH."""
    slurm_clusters: str | None = None
    """The cluster, by its name in the accounting, if this machine's is another one (`sbatch --clusters`)."""
    python: str | None = None
    """The node's Python; default: the Python that submits."""
    setup: tuple[str, ...] = ()
    """Shell lines that run before a job's command, e.g. `module load cuda/12.8`."""
    offline: bool = True
    """Whether the nodes cannot reach the Hugging Face hub; model and tokenizer must then be downloaded before."""
    accelerate_config: str | None = None
    """The file for `accelerate launch` by hand; a job must agree with its number of processes and its mixed precision."""
    gpu: Gpu | None = None
    write_gb_per_s: float | None = Field(default=None, gt=0)
    """How fast a node writes to runs_root, in 1e9 bytes a second; the check uses it to see whether a save fits into the grace."""
    prepare: dict[str, Any] = Field(default={})
    """Parameters of the stage's job by submitit's own names: timeout_min, gpus_per_node, slurm_partition, ..."""
    train: dict[str, Any] = Field(default={})
    """As for prepare; one job on one node, with one rank for each of its `gpus_per_node`."""
    evaluate: dict[str, Any] = Field(default={})
    """As for prepare, for each array task. And `python`: that of the process that generates answers, e.g. of a venv with vLLM."""
    report: dict[str, Any] = Field(default={})
    """As for prepare; this stage needs no GPU."""

    def parameters(self, stage: Stage) -> dict[str, Any]:
        """submitit's parameters for one stage."""
        parameters: dict[str, Any] = getattr(self, stage)
        return {key: value for key, value in parameters.items() if (stage, key) != ("evaluate", PYTHON)}


def profile_path(cluster: str) -> Path:
    """`slurm/<cluster>.yml`, or `cluster` itself if it is the path of a YAML file.

    Raises:
        ConfigError: there is no such profile; the message names the nearest one.
    """
    if cluster.endswith((".yml", ".yaml")):
        return Path(cluster)
    path = REPO_ROOT / "slurm" / f"{cluster}.yml"
    if not path.exists():
        known = [profile.stem for profile in (REPO_ROOT / "slurm").glob("*.yml")]
        raise ConfigError(f"--cluster {cluster}: no such profile in slurm/\nhint: {nearest(cluster, known)}")
    return path


def parse_profile(content: dict[str, Any], place: str) -> ClusterProfile:
    """Validate a profile.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    try:
        profile = ClusterProfile.model_validate(content)
    except ValidationError as error:
        raise explained(error, content, ClusterProfile, place) from None
    for stage in STAGES:
        for key, value in getattr(profile, stage).items():
            if (wanted := _wanted(key, value)) is not None:
                raise ConfigError(f"{place}: {stage}.{key}: found {value!r}\nhint: write {wanted}")
    return profile


def _wanted(key: str, value: object) -> str | None:
    """What to write for a stage's parameter instead of a value that cannot be meant; None: it can."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if key == PYTHON:
        return None if isinstance(value, str) else "the path of a Python"
    if key == "mem_gb":
        return None if is_number else "a number"
    if key in WHOLE_NUMBERS:
        return None if is_number and isinstance(value, int) else "a whole number"
    if key in LISTS:
        return None if isinstance(value, list) and all(isinstance(item, str) for item in value) else "a list of texts"
    if key == MORE:
        return None if isinstance(value, dict) else "a mapping (`key: value`)"
    is_submitits = key.startswith("slurm_")  # of other names, the check says that submitit does not have them
    return "text or a number" if is_submitits and isinstance(value, list | dict) else None


def load_profile(cluster: str, settings: Sequence[str] = ()) -> ClusterProfile:
    """Load a cluster profile, apply its settings and make its paths absolute; ConfigError as in `load_run_spec`."""
    content = load_yaml(profile_path(cluster))
    for key, value in map(parse_setting, settings):
        if key[0] in ClusterProfile.model_fields:
            apply_setting(content, key, value)
    return _resolved_profile(_with_shell(parse_profile(content, str(profile_path(cluster))), os.environ))


def _with_shell(profile: ClusterProfile, environment: Mapping[str, str]) -> ClusterProfile:
    """The profile with what the shell says for sbatch (SBATCH_ACCOUNT and so on) and no line of the profile says. So the dry run
    shows it, the check asks for it, and successors have it too."""
    said = {key: value for name, key in FROM_SHELL.items() if (value := environment.get(name))}
    if profile.executor != "slurm":
        return profile
    if profile.slurm_clusters is None and not profile.slurm_conf and (named := environment.get("SLURM_CLUSTERS")):
        profile = profile.model_copy(update={"slurm_clusters": named})
    if not said:
        return profile
    reservation = {"reservation": said.pop(RESERVATION)} if RESERVATION in said else {}
    stages: dict[str, Any] = {}
    for stage in STAGES:
        parameters = said | getattr(profile, stage)
        more = reservation | parameters.get(MORE, {})
        stages[stage] = parameters | ({MORE: more} if more else {})
    return profile.model_copy(update=stages)


def require_no_secrets(places: Iterable[str]) -> None:
    """Keep secrets out of the run folder, the sbatch files, the report and MLflow.

    Raises:
        ConfigError: there is a place with a secret.
    """
    if places := list(places):
        raise ConfigError(
            f"{', '.join(places)}: a secret, which would be stored and shown\n"
            "hint: export it in the shell where you submit, or source in `setup` a file that only you can read"
        )


def _resolved_profile(profile: ClusterProfile) -> ClusterProfile:
    sqlite = re.fullmatch(r"sqlite:///(?!/)(.+)", profile.tracking_uri)
    uri = f"sqlite:///{from_root(sqlite[1])}" if sqlite else profile.tracking_uri
    if is_secret_uri(uri):
        raise ConfigError(
            "tracking_uri: it holds credentials\nhint: put them into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    require_no_secrets(secrets_in(profile.model_dump(exclude={"tracking_uri"}), has_shell=True))
    if "," in (profile.slurm_clusters or ""):
        raise ConfigError(
            f"slurm_clusters: {profile.slurm_clusters}: a run has one cluster\n"
            "hint: write one name, in the profile or in SLURM_CLUSTERS"
        )
    if profile.executor == "slurm" and "%" in profile.runs_root:
        raise ConfigError(
            f"runs_root: {profile.runs_root}\nhint: name a folder without `%`, which sbatch replaces in paths"
        )
    paths = {key: getattr(profile, key) for key in ("runs_root", "slurm_conf", "slurm_bin")}
    resolved = {key: str(from_root(path)) if path else None for key, path in paths.items()}
    return profile.model_copy(update=resolved | {"tracking_uri": uri})
