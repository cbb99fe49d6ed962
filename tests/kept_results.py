"""Results of a long set of cases in a file that stands in the repository, so that a later call or checkout continues there."""

import hashlib
import json
from pathlib import Path
from typing import Any

from world import REPO_ROOT, commit


class KeptResults:
    """A file of JSON lines: a result each. Each result has "name", "held", and the "code" and "commit" that it was made with."""

    def __init__(self, path: Path, rooms: tuple[str, ...], fresh: bool = False) -> None:
        """Read `path`.

        Args:
            rooms: the folders whose Python files the results depend on.
            fresh: take no result that is there as one of the present code.
        """
        digest = hashlib.sha256()
        for room in rooms:
            for file in sorted((REPO_ROOT / room).rglob("*.py")):
                digest.update(file.read_bytes())
        self.path, self.code, self.commit = path, digest.hexdigest()[:16], commit()
        path.parent.mkdir(parents=True, exist_ok=True)
        if fresh:
            self.keep([result for result in self.all() if result["code"] != self.code])

    def all(self) -> list[dict[str, Any]]:
        """Every result, in the order in which they came."""
        return (
            [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
            if self.path.exists()
            else []
        )

    def keep(self, results: list[dict[str, Any]]) -> None:
        """Replace the file."""
        self.path.write_text("".join(f"{json.dumps(result)}\n" for result in results), encoding="utf-8")

    def held(self, **wanted: object) -> dict[str, Any] | None:
        """The newest result of the present code that held and has these values, or None."""
        wanted |= {"code": self.code, "held": True}
        return next((result for result in reversed(self.all()) if wanted.items() <= result.items()), None)

    def add(self, result: dict[str, Any]) -> dict[str, Any]:
        """Append a result; processes may do so at the same time."""
        result |= {"code": self.code, "commit": self.commit}
        with self.path.open("ab", buffering=0) as file:  # one write, so that lines of several processes stay whole
            file.write(json.dumps(result).encode() + b"\n")
        return result
