"""Results of a long set are kept over calls, and only those of the present code count."""

from pathlib import Path

import kept_results
import pytest
from kept_results import KeptResults


def test_a_later_call_continues_with_the_rows_that_did_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_results, "REPO_ROOT", tmp_path)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "code.py").write_text("one")
    file = tmp_path / "docs" / "results.jsonl"
    first = KeptResults(file, ("jobs",))
    first.add({"name": "a", "held": True, "site": {"slurm": None}})
    first.add({"name": "b", "held": False, "site": {"slurm": None}})

    later = KeptResults(file, ("jobs",))
    assert later.held(name="a", site={"slurm": None})
    assert later.held(name="a", site={"slurm": "24.11"}) is None
    assert later.held(name="b") is None
    later.add({"name": "b", "held": True, "site": {"slurm": None}})
    assert later.held(name="b")

    (tmp_path / "jobs" / "code.py").write_text("two")
    other_code = KeptResults(file, ("jobs",))
    assert other_code.held(name="a") is None
    other_code.add({"name": "a", "held": True})

    (tmp_path / "jobs" / "code.py").write_text("one")
    fresh = KeptResults(file, ("jobs",), fresh=True)
    assert fresh.held(name="a") is None
    assert [result["name"] for result in fresh.all()] == ["a"], "results of other code stay"
