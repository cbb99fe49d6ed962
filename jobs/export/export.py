"""`regrow export`: makes a folder of a run's final model, whole or not at all."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from callbacks.shared.journal import read_journal
from callbacks.shared.manifest import fsync
from jobs.evaluation.results import written_results
from jobs.export.card import model_card
from jobs.history.progress import finished_step
from jobs.spec.errors import ConfigError
from jobs.spec.find import name_to_type
from jobs.spec.paths import REPO_ROOT, child_environment
from jobs.spec.run_spec import RunSpec, python_of

ADAPTER_CONFIG, SUMS, CARD = "adapter_config.json", "SHA256SUMS", "README.md"
WEIGHTS = ("adapter_model*.safetensors", "model*.safetensors")
BESIDE = (
    ADAPTER_CONFIG, "model.safetensors.index.json", "config.json", "generation_config.json", "tokenizer*",
    "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "chat_template*", "*processor_config.json",
)  # fmt: skip
"""What belongs to a model besides its weights."""


def export(spec: RunSpec, output: Path, is_merged: bool) -> Path:
    """Write the final model, its card and the checksums of all files into a new folder.

    Args:
        is_merged: merge the adapter into its base model, and compare the two on prompts of the validation records.

    Raises:
        ConfigError: the run has no final model, the folder is there already, or the merged weights are not those of base and
            adapter.
    """
    entries, model = read_journal(spec.paths.journal), spec.paths.checkpoints
    if finished_step(entries) is None:
        raise ConfigError(f"{spec.name} has no final model\nhint: `regrow status {name_to_type(spec)}`")
    if output.exists():
        raise ConfigError(f"{output} is there already\nhint: name another folder (--output), or remove this one")
    if is_merged and not (model / ADAPTER_CONFIG).exists():
        raise ConfigError(f"{spec.name} has trained all weights, and no adapter\nhint: leave out --merged")
    part = output.with_name(f".{output.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of an export that was killed
    part.mkdir(mode=0o700, parents=True)
    merged = None
    if is_merged:
        merged = _merged(spec, part)
    else:
        _copy(model, part)
    (part / CARD).write_text(model_card(spec, entries, written_results(spec), merged), encoding="utf-8")
    files = sorted(path for path in part.rglob("*") if path.is_file())
    sums = "".join(f"{_sha256(path)}  {path.relative_to(part)}\n" for path in files)
    (part / SUMS).write_text(sums, encoding="utf-8")
    for path in part.rglob("*"):
        fsync(path)
    part.rename(output)
    return output


def _copy(model: Path, part: Path) -> None:
    """Copy the final model. A run folder may have both kinds of weights only if somebody has put them there."""
    kind = next(pattern for pattern in WEIGHTS if any(model.glob(pattern)))
    for pattern in (kind, *BESIDE):
        for path in model.glob(pattern):
            shutil.copy2(path, part)


def _merged(spec: RunSpec, part: Path) -> dict[str, Any]:
    """Merge in the node's Python; what it has compared."""
    command = [python_of(spec, sys.executable), "-m", "jobs.export.merge", str(spec.paths.run_dir), str(part)]
    environment = child_environment({"HF_HUB_OFFLINE": "1" if spec.profile.offline else "0"})
    done = subprocess.run(command, env=environment, cwd=REPO_ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        shutil.rmtree(part, ignore_errors=True)
        raise ConfigError(f"the merge failed; nothing is left of it\n{done.stdout.strip()}".strip())
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
