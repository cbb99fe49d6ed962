"""The environment on which a training's results may depend: package versions, and the code."""

import hashlib
import importlib.metadata
import platform
import shutil
import subprocess
from pathlib import Path

PACKAGES = ("axolotl", "torch", "transformers", "peft", "accelerate", "deepspeed", "flash-attn")


def environment_facts() -> dict[str, str]:
    """Package versions and the state of the code."""
    facts = {"version.python": platform.python_version()}
    for package in PACKAGES:
        try:
            facts[f"version.{package}"] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # flash-attn is absent without a GPU
    return facts | code_facts(Path(__file__).parent)


def code_facts(folder: Path) -> dict[str, str]:
    """The commit, and a hash of the changes to tracked files (`no`: no changes); empty outside a git checkout."""

    def git(*arguments: str) -> bytes | None:
        result = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
        return result.stdout.strip() if result.returncode == 0 else None

    commit = git("rev-parse", "HEAD") if shutil.which("git") else None
    if commit is None:
        return {}
    changes = git("diff", "HEAD", "--binary") or b""
    return {"git.commit": commit.decode(), "git.dirty": hashlib.sha256(changes).hexdigest()[:12] if changes else "no"}
