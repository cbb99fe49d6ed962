"""A checkpoint's manifest, which is written last: a checkpoint counts only if its manifest exists.

Light, because the jobs check manifests without torch.
"""

import json
import os
import re
from pathlib import Path

MANIFEST = "regrow_manifest.json"


def write_manifest(checkpoint: Path, *, step: int, world_size: int, evaluation_owed: bool = False) -> None:
    """Sync every file of `checkpoint` to disk, then list them with their sizes (bytes) in its manifest.

    Args:
        evaluation_owed: the evaluation at this step was cut short; the next attempt will evaluate first.
    """
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != MANIFEST)
    for path in [*files, checkpoint]:
        _fsync(path)
    sizes = {str(path.relative_to(checkpoint)): path.stat().st_size for path in files}
    facts = {"step": step, "world_size": world_size, "evaluation_owed": evaluation_owed, "files": sizes}
    write_atomically(checkpoint / MANIFEST, json.dumps(facts, indent=1))


def set_owes_evaluation(checkpoint: Path, owed: bool) -> None:
    """Set `evaluation_owed` in the manifest of a complete checkpoint."""
    facts = json.loads((checkpoint / MANIFEST).read_bytes())
    write_atomically(checkpoint / MANIFEST, json.dumps(facts | {"evaluation_owed": owed}, indent=1))


def owes_evaluation(checkpoint: Path) -> bool:
    """Whether the evaluation at the checkpoint's step was cut short; False for a checkpoint without a manifest."""
    path = checkpoint / MANIFEST
    return path.exists() and bool(json.loads(path.read_bytes()).get("evaluation_owed"))


def torn_reason(checkpoint: Path) -> str:
    """Why a training cannot resume from a checkpoint folder; empty: it can, the checkpoint is complete."""
    try:
        manifest = json.loads((checkpoint / MANIFEST).read_bytes())
    except FileNotFoundError:
        return "it has no manifest, because the save did not end"
    except ValueError as error:
        return f"its manifest is not JSON: {error}"
    for name, size in manifest["files"].items():
        path = checkpoint / name
        found = path.stat().st_size if path.is_file() else None
        if found != size:
            return f"{name} has {found} bytes, expected {size}" if found is not None else f"{name} is missing"
    return ""


def checkpoint_step(checkpoint: Path) -> int | None:
    """The step in `checkpoint-<step>`; None for any other name."""
    match = re.fullmatch(r"checkpoint-(\d+)", checkpoint.name)
    return int(match[1]) if match else None


def checkpoints(output_dir: Path) -> list[Path]:
    """The checkpoint folders of a run, complete or torn, newest first."""
    found = [path for path in output_dir.glob("checkpoint-*") if checkpoint_step(path) is not None]
    return sorted(found, key=lambda path: checkpoint_step(path) or 0, reverse=True)


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by a file that is complete and on disk, or leave it as it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    _fsync(temporary)
    os.replace(temporary, path)
    _fsync(path.parent)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
