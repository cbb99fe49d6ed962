"""A checkpoint's manifest, which is written last: a checkpoint counts only if its manifest exists.

Light, because the jobs check manifests without torch.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import xxhash

MANIFEST = "regrow_manifest.json"
NO_DIGESTS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Owed:
    """What was still to do at the step of a checkpoint when it was made; the next attempt does it first."""

    evaluation: bool = False
    """An evaluation was cut short."""
    save: bool = False
    """The Trainer would have saved after this evaluation: its result may make this checkpoint the best one."""


NOTHING = Owed()


def write_manifest(
    checkpoint: Path, *, step: int, world_size: int, owed: Owed = NOTHING, digests: Mapping[str, str] = NO_DIGESTS
) -> None:
    """Sync every file of `checkpoint` to disk, then list them with their sizes (bytes) and digests in its manifest.

    Args:
        digests: of files, as `file_digest` computes them; those that are missing are computed here.
    """
    files = checkpoint_files(checkpoint)
    for path in [*files, checkpoint]:
        fsync(path)
    names = {str(path.relative_to(checkpoint)): path for path in files}
    facts = {
        "step": step,
        "world_size": world_size,
        "owed": asdict(owed),
        "files": {name: path.stat().st_size for name, path in names.items()},
        "xxh3_64": {name: digests.get(name) or file_digest(path) for name, path in names.items()},
    }
    write_atomically(checkpoint / MANIFEST, json.dumps(facts, indent=1))


def checkpoint_files(checkpoint: Path) -> list[Path]:
    """The files of a checkpoint that its manifest lists, sorted."""
    return sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != MANIFEST)


def file_digest(path: Path) -> str:
    """XXH3 of a file's bytes, 64 bits in hexadecimal: fast, and enough to find bytes that went wrong by accident."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, xxhash.xxh3_64).hexdigest()


def wrong_files(checkpoint: Path) -> Iterator[tuple[str, int, str]]:
    """Read every file of a complete checkpoint. Yields its name, its size in bytes, and what is wrong with it, or nothing."""
    manifest = json.loads((checkpoint / MANIFEST).read_bytes())
    for name, digest in manifest.get("xxh3_64", {}).items():  # a manifest of an older version has no digests
        has = file_digest(checkpoint / name)
        yield name, manifest["files"][name], "" if has == digest else f"{name} has other bytes than were saved"


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
