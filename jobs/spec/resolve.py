"""Config + cluster profile + `--set`, resolved once into the RunSpec that everything downstream reads."""

import hashlib
import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError

from callbacks.shared.args import Prepare, Regrow, SourceSection
from callbacks.shared.tracking import TrackedRun
from jobs.spec.errors import ConfigError
from jobs.spec.paths import REPO_ROOT, PreparedPaths, RunPaths
from jobs.spec.profile import ClusterProfile, load_yaml, parse_profile, profile_path
from jobs.spec.site_facts import SiteFacts
from jobs.spec.stages import STAGES, Stage
from jobs.spec.strict import Strict, explained

PLUGIN = "callbacks.plugin.RegrowPlugin"
TOKEN_KEYS = (
    "base_model", "tokenizer_config", "chat_template", "datasets", "test_datasets", "sequence_len", "sample_packing",
    "eval_sample_packing", "group_by_length", "train_on_inputs", "seed", "special_tokens", "tokens", "shuffle_merged_datasets",
)  # fmt: skip
"""Keys of the Axolotl config on which the prepared tokens depend."""


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
    def typed(self) -> str:
        """What to type for the run in another command: its name, or its folder where that command looks elsewhere."""
        run_dir = self.paths.run_dir
        return self.name if run_dir.parent == Path(load_profile("local").runs_root) else str(run_dir)

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


def load_run_spec(config: Path, cluster: str, settings: Sequence[str] = (), name: str | None = None) -> RunSpec:
    """Read and resolve everything that was written by hand.

    Args:
        settings: `a.b=c`; a key whose first part is one of the profile's goes there, all others into the config.

    Raises:
        ConfigError: a file is missing or no YAML; a key or value of `regrow:` or of the profile is wrong.
    """
    content = load_yaml(config)
    profile = load_profile(cluster, settings)
    for key, value in map(parse_setting, settings):
        if key[0] not in ClusterProfile.model_fields:
            apply_setting(content, key, value)
    regrow = parse_regrow(content.pop("regrow", None) or {}, config)
    name = name or f"{config.stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    require_name(name)
    axolotl = _resolved_axolotl(content)
    prepared = _prepared_folder(axolotl, regrow.prepare, Path(profile.runs_root))
    return RunSpec(
        name=name,
        run_uuid=uuid.uuid4().hex,
        submitted_at=time.time(),
        config=str(config.resolve()),
        cluster=cluster,
        profile=profile,
        regrow=regrow.model_copy(update={"run_dir": str(Path(profile.runs_root) / name)}),
        axolotl=_for_run(axolotl, Path(profile.runs_root) / name, prepared),
        prepared=str(prepared) if prepared else None,
    )


def load_profile(cluster: str, settings: Sequence[str] = ()) -> ClusterProfile:
    """A cluster profile with its settings applied and its paths made absolute; ConfigError as in `load_run_spec`."""
    content = load_yaml(profile_path(cluster))
    for key, value in map(parse_setting, settings):
        if key[0] in ClusterProfile.model_fields:
            apply_setting(content, key, value)
    return _resolved_profile(parse_profile(content, str(profile_path(cluster))))


def parse_setting(setting: str) -> tuple[list[str], Any]:
    """`a.b=c` as its key's parts and its value, read as YAML (and 1e-4 as the number that it means)."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {setting}: write key=value, e.g. --set max_steps=50 or --set train.gpus_per_node=1")
    if re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", text):
        return key.split("."), float(text)
    try:
        return key.split("."), yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {setting}: the value is not YAML; quote it, e.g. --set 'key=\"text\"'") from None


def apply_setting(content: dict[str, Any], key: Sequence[str], value: Any) -> None:
    """Set a dotted key in nested mappings and lists; mappings that are missing on the way are made."""
    place: Any = content
    for depth, part in enumerate(key):
        index: Any = int(part) if isinstance(place, list) and part.isdigit() else part
        if not isinstance(place, dict | list) or (
            isinstance(place, list) and not (isinstance(index, int) and index < len(place))
        ):
            raise ConfigError(
                f"--set {'.'.join(key)}: there is no {part!r} in {'.'.join(key[:depth])}, found {place!r}"
            )
        if depth == len(key) - 1:
            place[index] = value
        else:
            place = place.setdefault(index, {}) if isinstance(place, dict) else place[index]


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


def from_root(path: str) -> Path:
    """A path of a config, absolute: relative ones count from the repo root."""
    return REPO_ROOT / Path(path).expanduser()


def is_folder_name(base_model: str) -> bool:
    """Whether `base_model` names a folder and not a model of the hub (`owner/name`)."""
    return base_model.startswith((".", "/", "~")) or base_model.count("/") != 1 or from_root(base_model).exists()


def _resolved_profile(profile: ClusterProfile) -> ClusterProfile:
    sqlite = re.fullmatch(r"sqlite:///(?!/)(.+)", profile.tracking_uri)
    uri = f"sqlite:///{from_root(sqlite[1])}" if sqlite else profile.tracking_uri
    if re.match(r"\w+://[^/@]+@", uri):
        raise ConfigError("tracking_uri: it holds credentials; put them into MLFLOW_TRACKING_USERNAME and _PASSWORD")
    conf = str(from_root(profile.slurm_conf)) if profile.slurm_conf else None
    resolved = {"runs_root": str(from_root(profile.runs_root)), "tracking_uri": uri, "slurm_conf": conf}
    return profile.model_copy(update=resolved)


def parse_regrow(section: Any, config: Path) -> Regrow:
    try:
        return Regrow.model_validate(section)
    except ValidationError as error:
        raise explained(error, Regrow, f"{config}: regrow") from None


def require_name(name: str) -> None:
    if not re.fullmatch(r"[\w][\w.-]*", name) or name == "prepared":
        raise ConfigError(f"--name {name}: use letters, digits, `-`, `_` and `.` (and not the word prepared)")


def _resolved_axolotl(content: dict[str, Any]) -> dict[str, Any]:
    """Paths made absolute, those that are there to be made."""
    resolved: dict[str, Any] = json.loads(json.dumps(content))
    if isinstance(base_model := resolved.get("base_model"), str) and is_folder_name(base_model):
        resolved["base_model"] = str(from_root(base_model))
    if isinstance(deepspeed := resolved.get("deepspeed"), str):
        resolved["deepspeed"] = str(from_root(deepspeed))
    for dataset in [*mappings(resolved.get("datasets")), *mappings(resolved.get("test_datasets"))]:
        if isinstance(path := dataset.get("path"), str) and from_root(path).exists():
            dataset["path"] = str(from_root(path))
    return resolved


def _prepared_folder(axolotl: Mapping[str, Any], prepare: Prepare, runs_root: Path) -> Path | None:
    """prepared/<content hash>: over the sources' content and every key on which the tokens depend."""
    sources = [*prepare.sources, *prepare.validation]
    if not prepare.sources or not all(from_root(source.path).is_file() for source in sources):
        return None
    digest = hashlib.sha256(json.dumps({key: axolotl.get(key) for key in TOKEN_KEYS}, sort_keys=True).encode())
    for role, source in [("source", s) for s in prepare.sources] + [("validation", s) for s in prepare.validation]:
        digest.update(f"{role} {source.repeat} {source.take} {_file_digest(source)}".encode())
    return runs_root / "prepared" / digest.hexdigest()[:16]


def _file_digest(source: SourceSection) -> str:
    with from_root(source.path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _for_run(axolotl: dict[str, Any], run_dir: Path, prepared: Path | None) -> dict[str, Any]:
    """What a run replaces in the config: the data sets' paths and where things are written."""
    replaced: dict[str, Any] = axolotl | {
        "output_dir": str(RunPaths(run_dir).checkpoints),
        "auto_resume_from_checkpoints": False,
    }
    if prepared:
        files = PreparedPaths(prepared)
        replaced["dataset_prepared_path"] = str(files.tokens)
        for role, path in (("datasets", files.train), ("test_datasets", files.validation)):
            if mappings(axolotl.get(role)):
                first, *rest = axolotl[role]
                replaced[role] = [{**first, "path": str(path)}, *rest]
    return replaced


def mappings(value: Any) -> list[dict[str, Any]]:
    """The value, if it is a list of mappings as it should be; else none."""
    return value if isinstance(value, list) and all(isinstance(item, dict) for item in value) else []
