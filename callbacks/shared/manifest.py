"""A checkpoint's manifest, which is written last: a checkpoint counts only if its manifest exists.

Light, because the jobs check manifests without torch.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

MANIFEST = "regrow_manifest.json"


@dataclass(frozen=True)
class Owed:
    """What was still to do at the step of a checkpoint when it was made; the next attempt does it first."""

    evaluation: bool = False
    """An evaluation was cut short."""
    save: bool = False
    """The Trainer would have saved after this evaluation: its result may make this checkpoint the best one."""


NOTHING = Owed()


def write_manifest(checkpoint: Path, *, step: int, world_size: int, owed: Owed = NOTHING) -> None:
    """Sync every file of `checkpoint` to disk, then list them with their sizes (bytes) in its manifest."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != MANIFEST)
    for path in [*files, checkpoint]:
        fsync(path)
    sizes = {str(path.relative_to(checkpoint)): path.stat().st_size for path in files}
    facts = {"step": step, "world_size": world_size, "owed": asdict(owed), "files": sizes}
    write_atomically(checkpoint / MANIFEST, json.dumps(facts, indent=1))


def owed_at(checkpoint: Path) -> Owed:
    """What is owed at a checkpoint; nothing for one without a manifest."""
    try:
        return Owed(**json.loads((checkpoint / MANIFEST).read_bytes()).get("owed", {}))
    except FileNotFoundError:
        return NOTHING


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
    fsync(temporary)
    os.replace(temporary, path)
    fsync(path.parent)


def superfluous(steps: Iterable[int], limit: int | None, best: int | None) -> list[int]:
    """The steps of the checkpoints to remove: all but the newest, the best, and as many newer ones as the limit allows for.

    Args:
        steps: of the complete checkpoints.
        limit: how many may stay; None: all. The newest and the best stay also if it is 1.
        best: step of the best checkpoint; None: there is none.
    """
    if limit is None:
        return []
    newest_first = sorted(steps, reverse=True)
    kept = {*newest_first[:1], *({best} & set(newest_first))}
    kept |= set([step for step in newest_first if step not in kept][: max(0, limit - len(kept))])
    return [step for step in newest_first if step not in kept]


def fsync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
