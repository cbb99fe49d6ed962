"""RunSpec: all that a run is, resolved; what everything downstream reads."""

import os
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError

from callbacks.shared.args import Regrow
from callbacks.shared.tracking import TrackedRun
from jobs.spec.errors import ConfigError
from jobs.spec.paths import PreparedPaths, RunPaths, from_root
from jobs.spec.profile import ClusterProfile
from jobs.spec.site_facts import SiteFacts
from jobs.spec.stages import STAGES, Stage
from jobs.spec.strict import Strict

PLUGIN = "callbacks.plugin.RegrowPlugin"


class EvaluatedModel(Strict):
    """A model to be evaluated."""

    name: str
    """Names its folder and its MLflow run."""
    path: str
    """A checkpoint, an adapter, or a whole model."""
    run_dir: str | None = None
    """The run that trained it: its prompts, its precision, its MLflow run. None: as the evaluation's own config says."""
    step: int | None = None
    """The optimizer step of a checkpoint; None: not known."""


class Evaluation(Strict):
    """What `regrow evaluate` was asked for, resolved."""

    models: tuple[EvaluatedModel, ...]
    baseline: str | None = None
    """Name of the model that the others are compared with."""
    changed: dict[str, Any] = Field(default={})
    """Keys of the Axolotl configs that were set on the command line, for every model."""


class RunSpec(Strict):
    """All that a run is, resolved: written to run.json at submit, and never changed."""

    name: str
    run_uuid: str
    submitted_at: float
    """Seconds since the epoch."""
    config: str
    """The hand-written config that the run was submitted with."""
    cluster: str
    profile: ClusterProfile
    regrow: Regrow
    axolotl: dict[str, Any]
    """The Axolotl config, resolved: absolute paths, `--set` applied, without `regrow:`."""
    prepared: str | None
    """Folder of the merged records and tokens; None: the data sets of the config are used as they stand, or the source
    files are not there yet."""
    stages: tuple[Stage, ...] = STAGES
    """What the run goes through."""
    evaluation: Evaluation | None = None
    """What `regrow evaluate` was asked for; None: the evaluate stage evaluates what the run itself has trained."""
    site: SiteFacts | None = None
    """What Slurm does with jobs there; None: the run is for this machine, or was not submitted yet."""

    @property
    def paths(self) -> RunPaths:
        return RunPaths(Path(self.profile.runs_root) / self.name)

    @property
    def prepared_paths(self) -> PreparedPaths | None:
        return PreparedPaths(Path(self.prepared)) if self.prepared else None

    @property
    def world_size(self) -> int:
        """Ranks of the training: one for each GPU, one without."""
        return max(1, self.gpus("train"))

    def gpus(self, stage: Stage) -> int:
        """Of one job of the stage."""
        return int(self.profile.parameters(stage).get("gpus_per_node") or 0)

    def parts(self, stage: Stage) -> int:
        """Into how many jobs a stage is split: the evaluation into one for each shard of each model."""
        if stage != "evaluate" or not self.axolotl.get("test_datasets"):
            return 1
        own = 1 if self.regrow.evaluate.checkpoints == "last" else self.regrow.evaluate.checkpoints
        return (len(self.evaluation.models) if self.evaluation else own) * self.regrow.evaluate.shards

    @property
    def has_own_mlflow_run(self) -> bool:
        """Whether something of it stands in an MLflow run of its own: an evaluation's only if a model is nobody's run."""
        return self.evaluation is None or any(model.run_dir is None for model in self.evaluation.models)

    @property
    def tracked_run(self) -> TrackedRun:
        return TrackedRun(
            self.profile.tracking_uri, self.regrow.mlflow.experiment, self.run_uuid, self.name, self.submitted_at
        )

    @classmethod
    def load(cls, run_dir: Path) -> Self:
        """The spec of a run folder.

        Raises:
            ConfigError: the folder holds no run, or one that this version cannot read.
        """
        path = RunPaths(run_dir).run_json
        if not path.exists():
            raise ConfigError(f"{run_dir} is no run folder: it holds no {path.name}")
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            wrong = ".".join(map(str, error.errors()[0]["loc"])) or "JSON"
            raise ConfigError(f"{path} was written by another version of regrow, or changed: see {wrong}") from None


def axolotl_document(spec: RunSpec) -> dict[str, Any]:
    """What axolotl.yml of the run folder says."""
    return spec.axolotl | {"regrow": spec.regrow.model_dump(mode="json")}


def write_run(spec: RunSpec) -> None:
    """Make the run folder with run.json and axolotl.yml.

    Raises:
        ConfigError: the run folder is used already.
    """
    try:
        spec.paths.create()
    except FileExistsError:
        raise ConfigError(f"{spec.paths.run_dir} is there already; choose another --name") from None
    spec.paths.axolotl_yml.write_text(
        yaml.safe_dump(axolotl_document(spec), allow_unicode=True, sort_keys=False), encoding="utf-8"
    )
    spec.paths.run_json.write_text(spec.model_dump_json(indent=1), encoding="utf-8")


def is_folder_name(base_model: str) -> bool:
    """Whether `base_model` names a folder and not a model of the hub (`owner/name`)."""
    return base_model.startswith((".", "/", "~")) or base_model.count("/") != 1 or from_root(base_model).exists()


def mappings(value: Any) -> list[dict[str, Any]]:
    """The value, if it is a list of mappings as it should be; else none."""
    return value if isinstance(value, list) and all(isinstance(item, dict) for item in value) else []


def python_of(spec: RunSpec, here: str) -> str:
    """The node's Python; `here`: the one that is running."""
    return str(from_root(spec.profile.python)) if spec.profile.python else here


def cpus_of(spec: RunSpec, stage: Stage) -> int:
    """What a stage's job may use of its node; without a `cpus_per_task`, what this process may."""
    return int(spec.profile.parameters(stage).get("cpus_per_task") or len(os.sched_getaffinity(0)))
