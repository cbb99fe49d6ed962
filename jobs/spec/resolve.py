"""Resolves config, cluster profile and `--set` once, into the RunSpec that everything later reads."""

import hashlib
import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from callbacks.shared.args import Prepare, Regrow, SourceSection
from callbacks.shared.secrets import secrets_in
from jobs.spec.errors import ConfigError
from jobs.spec.paths import PreparedPaths, RunPaths, from_root, located
from jobs.spec.profile import ClusterProfile, load_profile, require_no_secrets
from jobs.spec.run_spec import PLUGIN, EarlierTraining, RunSpec, is_folder_name, mappings
from jobs.spec.settings import apply_setting, parse_setting
from jobs.spec.stages import STAGES, Stage
from jobs.spec.strict import explained
from jobs.spec.yaml_file import load_yaml

TOKEN_KEYS = (
    "base_model", "tokenizer_config", "tokenizer_type", "tokenizer_use_fast", "tokenizer_legacy", "special_tokens", "tokens",
    "added_tokens_overrides", "chat_template", "chat_template_jinja", "chat_template_kwargs", "default_system_message",
    "eot_tokens", "datasets", "test_datasets", "val_set_size", "rl", "dataset_exact_deduplication", "excess_length_strategy",
    "sequence_len", "min_sample_len", "sample_packing", "eval_sample_packing", "group_by_length", "train_on_inputs", "seed",
    "shuffle_merged_datasets", "shuffle_before_merging_datasets",
)  # fmt: skip
"""Keys of the Axolotl config on which the tokens depend."""
DATASET_KEYS = ("datasets", "test_datasets", "pretraining_dataset")
BUILDERS = ("json", "csv", "parquet", "arrow", "text")
"""Values of a data set's `path` that name a format and not a file; the files stand in `data_files`."""
SEED = 42
"""The seed of a config without one: unseeded, two runs of one config would differ (Axolotl 0.19)."""


def load_run_spec(config: Path, cluster: str, settings: Sequence[str] = (), name: str | None = None) -> RunSpec:
    """Load and resolve the hand-written config and profile.

    Args:
        config: an Axolotl config; or a script that trains, as `regrow.trainer` names it, for a run without a config.
        settings: `a.b=c`; if the first part of the key is a key of the profile, it is set there, else in the config.
        name: of the run; None: the config's name and the time.

    Raises:
        ConfigError: a file is missing or not YAML; a key or value of `regrow:` or of the profile is wrong.
    """
    content = {"regrow": {"trainer": str(config)}} if config.suffix == ".py" else load_yaml(config)
    profile = load_profile(cluster, settings)
    for key, value in map(parse_setting, settings):
        if key[0] not in ClusterProfile.model_fields:
            apply_setting(content, key, value)
    require_no_secrets(secrets_in(content))
    regrow = parse_regrow(content.pop("regrow", None) or {}, config)
    if regrow.prepare.validation and not regrow.prepare.sources:
        raise ConfigError(
            f"{config}: regrow.prepare.validation: there are no regrow.prepare.sources beside it\n"
            "hint: write the sources too; or write the file of validation records as test_datasets[0].path"
        )
    regrow = regrow.model_copy(update={"trainer": _resolved_trainer(regrow.trainer)})
    name = name or f"{config.stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    require_name(name)
    run_dir = Path(profile.runs_root) / name
    *earlier, last = _trainings(content, regrow, run_dir, config)
    return RunSpec(
        name=name,
        run_uuid=uuid.uuid4().hex,
        submitted_at=time.time(),
        config=str(config.resolve()),
        cluster=cluster,
        profile=profile,
        regrow=regrow.model_copy(update={"run_dir": str(run_dir), "prepare": last.prepare}),
        axolotl=last.axolotl,
        prepared=last.prepared,
        earlier=tuple(earlier),
        added=tuple({} if regrow.trainer else _added(_resolved_axolotl(content))),
        stages=tuple(stage for stage in STAGES if _is_needed(stage, regrow, last)),
    )


def _trainings(content: dict[str, Any], regrow: Regrow, run_dir: Path, config: Path) -> list[EarlierTraining]:
    """The run's trainings, resolved, in order; the last one gives the run its own config.

    Raises:
        ConfigError: an entry of `train_stages` is wrong, or a training cannot go on from the one before.
    """
    found: list[EarlierTraining] = []
    entries = regrow.train_stages or ({},)
    for number, entry in enumerate(entries, 1):
        changed, place = dict(entry), f"{config}: regrow.train_stages.{number - 1}"
        name, section = str(changed.pop("name", number)), changed.pop("prepare", {})
        prepare = _stage_prepare(regrow.prepare, section, changed, place)
        if not re.fullmatch(r"\w[\w-]*", name) or name in (each.name for each in found):
            raise ConfigError(
                f"{place}.name: found {name!r}\nhint: use letters, digits, `-` and `_`, and each name once"
            )
        axolotl = _resolved_axolotl(content | changed)
        axolotl |= {} if regrow.trainer else _added(axolotl)
        if found:
            axolotl |= _from_before(found[-1].axolotl, axolotl, place)
        paths = RunPaths(run_dir, name if number < len(entries) else None)
        prepare = _resolved_prepare(prepare)
        prepared = _prepared_folder(axolotl, prepare, run_dir.parent)
        resolved = _for_run(axolotl, prepare, paths, prepared)
        found.append(
            EarlierTraining(name=name, axolotl=resolved, prepare=prepare, prepared=str(prepared) if prepared else None)
        )
    return found


def _stage_prepare(of_run: Prepare, section: Any, changed: Mapping[str, Any], place: str) -> Prepare:
    """The sources of one training: its own; or else the run's, unless it names data sets that are used as they are."""
    own = parse_regrow({"prepare": section}, place).prepare
    kept = {
        "sources": of_run.sources if {"datasets", "pretraining_dataset"}.isdisjoint(changed) else (),
        "validation": of_run.validation if "test_datasets" not in changed else (),
    }
    return own.model_copy(update={key: value for key, value in kept.items() if key not in own.model_fields_set})


def _from_before(before: dict[str, Any], axolotl: dict[str, Any], place: str) -> dict[str, Any]:
    """The keys with which a training goes on from the one before it: from its adapter, or from its weights."""
    if not before.get("adapter"):  # the folder is not there yet when the records are tokenised
        base = before["base_model"]
        made_of = {
            key: axolotl.get(key) or before.get(key) or base for key in ("base_model_config", "tokenizer_config")
        }
        return {"base_model": before["output_dir"]} | made_of
    if not axolotl.get("adapter"):
        raise ConfigError(
            f"{place}: it trains all weights, and the training before it an adapter\n"
            "hint: train adapters in both; or merge (`regrow export RUN --merged`), and train the merged model in another run"
        )
    return {"lora_model_dir": before["output_dir"]}


LONGEST_NAME = 128
"""Bytes of a run's name. Files and jobs have longer names, which begin with it."""


def parse_regrow(section: Any, place: Path | str) -> Regrow:
    try:
        return Regrow.model_validate(section)
    except ValidationError as error:
        where = f"{place}: regrow" if isinstance(place, Path) else place
        raise explained(error, section, Regrow, where) from None


def require_name(name: str) -> None:
    if not re.fullmatch(r"[\w][\w.-]*", name) or name == "prepared" or len(name.encode()) > LONGEST_NAME:
        raise ConfigError(
            f"--name {name[:LONGEST_NAME]}: not a name for a run\nhint: use letters, digits, `-`, `_` and `.`, "
            f"at most {LONGEST_NAME}; `prepared` is reserved"
        )


def _resolved_axolotl(content: dict[str, Any]) -> dict[str, Any]:
    """The config with absolute paths where the files exist, and without data sets that are null: Axolotl fails on these."""
    resolved: dict[str, Any] = json.loads(json.dumps(content))
    for role in DATASET_KEYS:
        if resolved.get(role, content) is None:
            del resolved[role]
    if isinstance(base_model := resolved.get("base_model"), str) and is_folder_name(base_model):
        resolved["base_model"] = str(located(base_model))
    if isinstance(deepspeed := resolved.get("deepspeed"), str):
        resolved["deepspeed"] = str(located(deepspeed))
    datasets = [entry for role in DATASET_KEYS for entry in mappings(resolved.get(role))]
    for place, key in product([*datasets, resolved], ("path", "data_files", "tokenizer_config", "lora_model_dir")):
        if (value := place.get(key)) and (key != "path" or value not in BUILDERS):
            place[key] = [_found(each) for each in value] if isinstance(value, list) else _found(value)
    return resolved


def _found(path: Any) -> Any:
    """The absolute path of what a user has named, if it exists; else the value as it is: it may be a name on the hub."""
    return str(located(path)) if isinstance(path, str) and path and located(path).exists() else path


def _resolved_prepare(prepare: Prepare) -> Prepare:
    """The sources with absolute paths."""

    def resolved(sections: Sequence[SourceSection]) -> tuple[SourceSection, ...]:
        return tuple(section.model_copy(update={"path": str(located(section.path))}) for section in sections)

    return Prepare(sources=resolved(prepare.sources), validation=resolved(prepare.validation))


def _resolved_trainer(trainer: str | None) -> str | None:
    if trainer is None:
        return None
    if not located(trainer).is_file():
        raise ConfigError(f"regrow.trainer: {trainer}: no such file\nhint: name a Python script")
    return str(located(trainer))


def _is_needed(stage: Stage, regrow: Regrow, last: EarlierTraining) -> bool:
    """Whether a run has the stage. Answers are generated if there are a task and validation records. A script tokenises by
    itself, so that only a merge needs a stage before it."""
    if stage == "evaluate":
        return regrow.task is not None and bool(last.axolotl.get("test_datasets") or last.axolotl.get("val_set_size"))
    return stage != "prepare" or not regrow.trainer or bool(regrow.prepare.sources)


def _added(axolotl: Mapping[str, Any]) -> dict[str, Any]:
    """What a config lacks for a run that can resume: regrow's plugin, and a seed."""
    added: dict[str, Any] = {} if axolotl.get("seed") is not None else {"seed": SEED}
    plugins = axolotl.get("plugins") or []
    if isinstance(plugins, list) and PLUGIN not in plugins:
        added["plugins"] = [*plugins, PLUGIN]
    return added


def _prepared_folder(axolotl: Mapping[str, Any], prepare: Prepare, runs_root: Path) -> Path | None:
    """prepared/<content hash>: the hash covers the content of the sources and every key on which the tokens depend."""
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


def _for_run(axolotl: dict[str, Any], prepare: Prepare, paths: RunPaths, prepared: Path | None) -> dict[str, Any]:
    """The config with what a run replaces: the paths of the data sets and of the output."""
    replaced: dict[str, Any] = axolotl | {
        "output_dir": str(paths.checkpoints),
        "auto_resume_from_checkpoints": False,
    }
    if prepared:
        files = PreparedPaths(prepared)
        replaced["dataset_prepared_path"] = str(files.tokens)
        merged = (("datasets", files.train, prepare.sources), ("test_datasets", files.validation, prepare.validation))
        for role, path, sections in merged:
            if sections and mappings(axolotl.get(role)):
                first, *rest = axolotl[role]
                replaced[role] = [{**first, "path": str(path)}, *rest]
    return replaced
