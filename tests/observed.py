"""Runs `regrow` as a user types it, and notes the modules loaded and the files opened. They are the same on a slow machine."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from world import REGROW

_IN_THE_CHILD = """
import json, runpy, sys
result, *sys.argv = sys.argv[1:]
opened, before = [], set(sys.modules)
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    found = {"modules": sorted(set(sys.modules) - before), "opened": list(opened)}
    with open(result, "w") as file:
        json.dump(found, file)
"""


@dataclass(frozen=True)
class Observed:
    """One call that succeeded."""

    stdout: str
    modules: frozenset[str]
    """Full names of the modules that were imported."""
    opened: list[str]
    """Every file that Python code has opened, in order; a file that was opened twice stands here twice."""

    @property
    def foreign_packages(self) -> set[str]:
        """Top-level packages that are neither Python's own nor ours."""
        ours = {"regrow", "jobs", "callbacks", "data_prep", "dev_cluster"}
        return {module.partition(".")[0] for module in self.modules} - sys.stdlib_module_names - ours

    def modules_of(self, package: str) -> set[str]:
        return {module for module in self.modules if f"{module}.".startswith(f"{package}.")}

    def opened_below(self, folder: Path) -> list[Path]:
        """The opened files below a folder; the paths are relative to it."""
        return [Path(path).relative_to(folder) for path in self.opened if path.startswith(f"{folder}/")]


def observed(scratch: Path, environment: Mapping[str, str], *arguments: str) -> Observed:
    """Run `regrow ARGUMENTS`. `scratch`: a folder to write in."""
    result = scratch / "observed.json"
    command = [sys.executable, "-c", _IN_THE_CHILD, str(result), str(REGROW), *arguments]
    done = subprocess.run(command, env=environment, cwd=scratch, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(result.read_bytes())
    return Observed(done.stdout, frozenset(found["modules"]), found["opened"])
