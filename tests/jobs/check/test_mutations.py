"""A seeded generator spoils the shipped configs. The check finds and names each mutation."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess

from mutations import EACH, SEED
from sampling import SAMPLE
from world import REPO_ROOT


def test_every_mutation_is_found(
    run_python: Callable[[Sequence[str]], "CompletedProcess[str]"], tmp_path: Path
) -> None:
    each = EACH if SAMPLE == "all" else 2
    command = [str(REPO_ROOT / "tests" / "jobs" / "check" / "mutations.py"), str(tmp_path), str(SEED), str(each)]
    done = run_python(command)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    counted = Counter(row["kind"] for row in rows)
    assert all(count >= each for kind, count in counted.items() if kind != "none"), counted
    unspoiled = {finding for row in rows if row["kind"] == "none" for finding in row["findings"]}
    assert not [finding for finding in unspoiled if finding.startswith("error")], unspoiled
    missed = [
        row
        for row in rows
        if row["kind"] not in ("none", "any value") and not any(row["word"] in finding for finding in row["findings"])
    ]
    assert missed == []
