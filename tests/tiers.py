"""Tiers: a test gets its marker by its folder, its file or a fixture that it uses.

`make check` runs `-m quick`: the tests without another marker.
"""

import re
from collections.abc import Collection
from pathlib import PurePath

MARKERS = {
    "slurm": "starts a real Slurm",
    "train": "loads torch or Axolotl, here or in a process that it starts (seconds to minutes)",
    "mlflow": "loads MLflow, or writes to a real tracking database",
    "browser": "reads the report with a real Chromium",
    "docs": "builds the documentation, or types what it tells to type",
    "long": "takes many seconds of CPU by itself, or collects all tests",
    "quick": "has none of the other markers: `make check` runs it",
}
BY_PATH = {
    "slurm/*": "slurm",
    "train/*": "train",
    "exact/*": "train",
    "docs/*": "docs",
    "callbacks/*": "train",
    "callbacks/exact/*": "train",
    "callbacks/shared/test_projection.py": "mlflow",
    "callbacks/shared/test_mlflow_sync.py": "mlflow",
    "callbacks/shared/test_tracking.py": "mlflow",
    "callbacks/shared/tasks/test_scorers.py": "long",
    "data_prep/test_tiny_model.py": "train",
    "jobs/check/test_mutations.py": "train",
    "jobs/evaluation/test_engine.py": "train",
    "jobs/evaluation/test_statistics.py": "long",
    "jobs/cli/test_hostile_shells.py": "long",
    "jobs/node/test_shared_file_systems.py": "long",
    "jobs/history/test_runs.py": "long",
    "jobs/plan/test_plan_command.py": "long",
    "test_package.py": "long",
}
"""Patterns of files below tests/ → marker. `*` stands for one name, so subfolders do not match."""
BY_FIXTURE = {"world": "train", "vllm": "train", "browser": "browser", "many": "long"}
HEAVY = frozenset({"torch", "transformers", "axolotl", "mlflow", "scipy", "sklearn"})
"""Packages that no quick test loads into its process."""
_EXCLUSIONS = re.compile(r"not \w+( and not \w+)*")


def markers_of_file(path: PurePath) -> set[str]:
    """The markers that all tests of a file get; `path` is relative to tests/."""
    return {
        marker
        for pattern, marker in BY_PATH.items()
        if path.match(pattern) and len(path.parts) == len(PurePath(pattern).parts)  # jobs/slurm/ is not slurm/
    }


def markers_of_test(path: PurePath, fixtures: Collection[str], own: Collection[str]) -> set[str]:
    """The markers that a test gets.

    Args:
        path: the file of the test, relative to tests/.
        own: the markers that the file itself sets above the test.
    """
    found = markers_of_file(path) | {marker for fixture, marker in BY_FIXTURE.items() if fixture in fixtures}
    return found if found or set(own) & MARKERS.keys() else {"quick"}


def is_left_out(path: PurePath, expression: str) -> bool:
    """Whether `-m expression` can select no test of a file, so that the file need not be imported.

    pytest deselects a test only after the import of its file, which may take longer than all quick tests. An expression
    other than `quick` or a list of exclusions (`not a and not b`) leaves out no file here.
    """
    if expression == "quick":
        return bool(markers_of_file(path))
    if _EXCLUSIONS.fullmatch(expression):
        return not markers_of_file(path).isdisjoint(re.findall(r"not (\w+)", expression))
    return False
