"""RunSpec: everything about a run, resolved; all later stages read it, and nothing else."""

import os
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError

from callbacks.shared.args import Prepare, Regrow
from callbacks.shared.tracking import TrackedRun
from jobs.spec.errors import ConfigError
from jobs.spec.paths import PreparedPaths, RunPaths, from_root, located
from jobs.spec.profile import PYTHON, ClusterProfile
from jobs.spec.site_facts import SiteFacts
from jobs.spec.stages import STAGES, Stage
from jobs.spec.strict import Strict

PLUGIN = "callbacks.plugin.RegrowPlugin"


class EvaluatedModel(Strict):
    """A model to evaluate."""

    name: str
    """The name of its folder and of its MLflow run."""
    path: str
    """A checkpoint, an adapter, or a whole model."""
    run_dir: str | None = None
    """The run that trained it, with its prompts, precision and MLflow run. None: the evaluation's own config says these."""
    step: int | None = None
    """The optimizer step of a checkpoint; None: not known."""


class EarlierTraining(Strict):
    """One of a run's trainings before the last one."""

    name: str
    axolotl: dict[str, Any]
    """As in RunSpec."""
    prepare: Prepare
    prepared: str | None


class Evaluation(Strict):
    """The request to `regrow evaluate`, resolved."""

    models: tuple[EvaluatedModel, ...]
    baseline: str | None = None
    """Name of the model with which the others are compared."""
    changed: dict[str, Any] = Field(default={})
    """Keys of the Axolotl config that the command line set, for every model."""


class RunSpec(Strict):
    """Everything about a run, resolved: written to run.json at submit, and never changed."""

    name: str
    run_uuid: str
    submitted_at: float
    """Seconds since the epoch."""
    config: str
    """The hand-written config with which the run was submitted."""
    cluster: str
    profile: ClusterProfile
    regrow: Regrow
    axolotl: dict[str, Any]
    """The Axolotl config, resolved: absolute paths, `--set` applied, without `regrow:`."""
    added: tuple[str, ...] = ()
    """The keys that regrow has added to the Axolotl config, beside the paths of the run."""
    prepared: str | None
    """Folder of the merged records and tokens; None: the run uses the data sets of the config as they are, or the source
    files do not exist yet."""
    earlier: tuple[EarlierTraining, ...] = ()
    """The trainings before the last one, in order, each of which the next one goes on from."""
    training: str | None = None
    """The name of the earlier training of which this is the spec (`trainings`); None: this is the run."""
    stages: tuple[Stage, ...] = STAGES
    """The stages of the run, in order."""
    evaluation: Evaluation | None = None
    """The request to `regrow evaluate`; None: the evaluate stage evaluates the model that the run itself trains."""
    site: SiteFacts | None = None
    """What Slurm does with jobs at the site; None: the run is for this machine, or has not been submitted yet."""

    def following(self, stage: Stage) -> Stage | None:
        """The stage whose jobs wait for those of `stage`; None: it is the last one."""
        return next(iter(self.stages[self.stages.index(stage) + 1 :]), None)

    @property
    def trainings(self) -> list[Self]:
        """The run's trainings, in order: each as the spec of a run that has only this one. The last one is the run itself."""
        return [*map(self._as_run, self.earlier), self]

    def _as_run(self, earlier: EarlierTraining) -> Self:
        what = {"axolotl": earlier.axolotl, "prepared": earlier.prepared, "training": earlier.name, "earlier": ()}
        return self.model_copy(update=what | {"regrow": self.regrow.model_copy(update={"prepare": earlier.prepare})})

    @property
    def paths(self) -> RunPaths:
        return RunPaths(Path(self.profile.runs_root) / self.name, self.training)

    @property
    def prepared_paths(self) -> PreparedPaths | None:
        return PreparedPaths(Path(self.prepared)) if self.prepared else None

    @property
    def world_size(self) -> int:
        """Ranks of the training: one for each GPU; without a GPU, one."""
        return max(1, self.gpus("train"))

    def gpus(self, stage: Stage) -> int:
        """GPUs of one job of the stage."""
        return int(self.profile.parameters(stage).get("gpus_per_node") or 0)

    def trains_on_gpu(self, is_here: bool) -> bool:
        """Whether the training has a GPU.

        Args:
            is_here: whether this machine has one, which a run on this machine may use.
        """
        return bool(self.gpus("train")) or (is_here and self.profile.executor == "local")

    def parts(self, stage: Stage) -> int:
        """The number of jobs of a stage: for the evaluation, one for each shard of each model."""
        if stage != "evaluate" or "evaluate" not in self.stages:
            return 1
        own = 1 if self.regrow.evaluate.checkpoints == "last" else self.regrow.evaluate.checkpoints
        return (len(self.evaluation.models) if self.evaluation else own) * self.regrow.evaluate.shards

    @property
    def has_own_mlflow_run(self) -> bool:
        """Whether there is an MLflow run of its own: for an evaluation, only if one of its models was not trained by a run."""
        return self.evaluation is None or any(model.run_dir is None for model in self.evaluation.models)

    @property
    def tracked_run(self) -> TrackedRun:
        return TrackedRun(
            self.profile.tracking_uri, self.regrow.mlflow.experiment, self.run_uuid, self.name, self.submitted_at
        )

    @classmethod
    def load(cls, run_dir: Path) -> Self:
        """Load the spec of a run folder.

        Raises:
            ConfigError: the folder is not a run folder, or this version cannot read its run.json.
        """
        path = RunPaths(run_dir).run_json
        if not path.exists():
            raise ConfigError(f"{run_dir} is not a run folder: it has no {path.name}")
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            wrong = ".".join(map(str, error.errors()[0]["loc"])) or "JSON"
            raise ConfigError(f"{path} was written by another version of regrow, or changed: see {wrong}") from None


def axolotl_document(spec: RunSpec) -> dict[str, Any]:
    """The content of axolotl.yml in the run folder."""
    return spec.axolotl | {"regrow": spec.regrow.model_dump(mode="json")}


def write_run(spec: RunSpec) -> None:
    """Create the run folder with run.json and axolotl.yml.

    Raises:
        ConfigError: the run folder already exists.
    """
    try:
        spec.paths.create()
    except FileExistsError:
        raise ConfigError(
            f"{spec.paths.run_dir} already exists\nhint: `regrow resume {spec.name}`, or choose another `--name`"
        ) from None
    for training in spec.trainings:
        document = yaml.safe_dump(axolotl_document(training), allow_unicode=True, sort_keys=False)
        training.paths.axolotl_yml.write_text(document, encoding="utf-8")
    spec.paths.run_json.write_text(spec.model_dump_json(indent=1), encoding="utf-8")


def is_folder_name(base_model: str) -> bool:
    """Whether `base_model` is a folder, and not a model of the hub (`owner/name`)."""
    return base_model.startswith((".", "/", "~")) or base_model.count("/") != 1 or located(base_model).exists()


def mappings(value: Any) -> list[dict[str, Any]]:
    """The value if it is a list of mappings; else an empty list."""
    return value if isinstance(value, list) and all(isinstance(item, dict) for item in value) else []


def texts(value: Any) -> list[str]:
    """The texts of a list; of anything else, an empty list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def python_of(spec: RunSpec, here: str) -> str:
    """The node's Python; `here`: the running one, which is the default."""
    return str(from_root(spec.profile.python)) if spec.profile.python else here


def generating_python(spec: RunSpec, here: str) -> str:
    """The Python that generates answers: `evaluate.python` of the profile, or else the node's."""
    own = spec.profile.evaluate.get(PYTHON)
    return str(from_root(own)) if own else python_of(spec, here)


def cpus_of(spec: RunSpec, stage: Stage) -> int:
    """The CPUs of a stage's job; without `cpus_per_task`, those that this process may use."""
    return int(spec.profile.parameters(stage).get("cpus_per_task") or len(os.sched_getaffinity(0)))
