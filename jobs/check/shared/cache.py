"""Cached answers in ~/.cache/regrow/check. An answer is valid as long as its question is the same."""

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from callbacks.shared.manifest import write_atomically
from jobs.spec.paths import REPO_ROOT


def cache_folder() -> Path:
    """Where the check keeps things from one call to the next. A relative XDG_CACHE_HOME does not count (XDG base directories)."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path("~/.cache").expanduser()) / "regrow" / "check"


class CachedAnswer:
    """The cache file of one answer."""

    def __init__(self, name: str, question: Any, modules: Iterable[str]) -> None:
        """`question`: everything that the answer depends on, for JSON. `modules`: those that answer; their source counts too."""
        source = "".join((REPO_ROOT / module).read_text(encoding="utf-8") for module in modules)
        asked = json.dumps([question, source], sort_keys=True)
        self._path = cache_folder() / f"{name}-{hashlib.sha256(asked.encode()).hexdigest()[:24]}.json"

    def get(self) -> bytes | None:
        """The answer; None: there is none yet."""
        try:
            return self._path.read_bytes()
        except OSError:
            return None

    def put(self, answer: bytes) -> None:
        """Keep the answer. Where the cache cannot be written, the next check asks again."""
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, answer.decode())


def file_stamp(path: Path) -> dict[str, Any]:
    """Identifies the content of a file without reading it: path, size, time of the last change."""
    stat = path.stat()
    return {"path": str(path), "size": stat.st_size, "changed": stat.st_mtime_ns}
