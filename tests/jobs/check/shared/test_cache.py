"""An answer stays in the cache until something that it depends on has changed."""

import os
from pathlib import Path

import pytest

from jobs.check.shared.cache import CachedAnswer, file_stamp

MODULES = ["jobs/check/shared/cache.py"]


def test_answer_stands_for_its_question_and_modules_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = CachedAnswer("data", {"of": [1, 2]}, MODULES)
    assert place.get() is None
    place.put('{"そう": 1}'.encode())
    assert CachedAnswer("data", {"of": [1, 2]}, MODULES).get() == '{"そう": 1}'.encode()
    assert CachedAnswer("data", {"of": [2, 1]}, MODULES).get() is None
    assert CachedAnswer("data", {"of": [1, 2]}, [*MODULES, "jobs/check/shared/ask.py"]).get() is None


def test_stamp_changes_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "records.json"
    file.write_text("[]")
    first = file_stamp(file)
    assert file_stamp(file) == first
    file.write_text("{}")
    os.utime(file, ns=(first["changed"], first["changed"] + 1))
    assert file_stamp(file) != first
