"""Resolves config, cluster profile and `--set` once, into the RunSpec that everything later reads."""

import hashlib
import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from callbacks.shared.args import Prepare, Regrow, SourceSection
from callbacks.shared.secrets import secrets_in
from jobs.spec.errors import ConfigError
from jobs.spec.paths import PreparedPaths, RunPaths, from_root
from jobs.spec.profile import ClusterProfile, load_profile, load_yaml, require_no_secrets
from jobs.spec.run_spec import RunSpec, is_folder_name, mappings
from jobs.spec.settings import apply_setting, parse_setting
from jobs.spec.strict import explained

TOKEN_KEYS = (
    "base_model", "tokenizer_config", "chat_template", "datasets", "test_datasets", "sequence_len", "sample_packing",
    "eval_sample_packing", "group_by_length", "train_on_inputs", "seed", "special_tokens", "tokens", "shuffle_merged_datasets",
)  # fmt: skip
"""Keys of the Axolotl config on which the tokens depend."""


def load_run_spec(config: Path, cluster: str, settings: Sequence[str] = (), name: str | None = None) -> RunSpec:
    """Load and resolve the hand-written config and profile.

    Args:
        settings: `a.b=c`; if the first part of the key is a key of the profile, it is set there, else in the config.
        name: of the run; None: the config's name and the time.

    Raises:
        ConfigError: a file is missing or not YAML; a key or value of `regrow:` or of the profile is wrong.
    """
    content = load_yaml(config)
    profile = load_profile(cluster, settings)
    for key, value in map(parse_setting, settings):
        if key[0] not in ClusterProfile.model_fields:
            apply_setting(content, key, value)
    require_no_secrets(secrets_in(content))
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


LONGEST_NAME = 128
"""Bytes of a run's name. Files and jobs have longer names, which begin with it."""


def parse_regrow(section: Any, config: Path) -> Regrow:
    try:
        return Regrow.model_validate(section)
    except ValidationError as error:
        raise explained(error, section, Regrow, f"{config}: regrow") from None


def require_name(name: str) -> None:
    if not re.fullmatch(r"[\w][\w.-]*", name) or name == "prepared" or len(name.encode()) > LONGEST_NAME:
        raise ConfigError(
            f"--name {name[:LONGEST_NAME]}: not a name for a run\nhint: use letters, digits, `-`, `_` and `.`, "
            f"at most {LONGEST_NAME}; `prepared` is reserved"
        )


def _resolved_axolotl(content: dict[str, Any]) -> dict[str, Any]:
    """The config with absolute paths where the files exist."""
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


def _for_run(axolotl: dict[str, Any], run_dir: Path, prepared: Path | None) -> dict[str, Any]:
    """The config with what a run replaces: the paths of the data sets and of the output."""
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
