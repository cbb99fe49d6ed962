"""Everything that a job starts by its name exists, and a pickled job holds only plain data."""

import importlib.util
import pickle
import pkgutil
from inspect import signature

from jobs.spec.entry_points import LAST_WORD, RUN_STAGE, SHIELD
from jobs.spec.stages import StageJob


def test_stage_resolves_by_its_name() -> None:
    run_stage = pkgutil.resolve_name(RUN_STAGE)
    assert list(signature(run_stage).parameters) == ["job"]


def test_last_word_and_shield_are_there() -> None:
    assert importlib.util.find_spec(LAST_WORD)
    assert SHIELD.is_file()


def test_pickled_job_names_nothing_but_its_own_class() -> None:
    job = StageJob("/runs/one", "train")
    pickled = pickle.dumps(job)
    assert b"run_stage" not in pickled and b"jobs.spec.stages" in pickled
    assert pickle.loads(pickled) == job  # noqa: S301 (made here)
