"""`-m` selects the right tests: every test has the marker of its folder, and files without a selected test are not imported."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath

import pytest
from tiers import BY_PATH, HEAVY, MARKERS, is_left_out, markers_of_file, markers_of_test
from world import REPO_ROOT

TESTS = REPO_ROOT / "tests"
COLLECT = """
import json, sys, pytest

class Seen:
    def pytest_collection_finish(self, session):
        tests = [[str(item.path), sorted({mark.name for mark in item.iter_markers()})] for item in session.items]
        print("seen", json.dumps([tests, sorted(sys.modules)]))

sys.exit(pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", "-m", sys.argv[1]], plugins=[Seen()]))
"""

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]
Tests = list[tuple[PurePath, set[str]]]


@pytest.fixture(scope="module")
def collected(run_python: Run) -> Callable[[str], tuple[Tests, set[str]]]:
    """The tests that `-m` selects, each with its file and its markers; and the modules that were loaded to collect them."""

    def collect(expression: str) -> tuple[Tests, set[str]]:
        done = run_python(["-c", COLLECT, expression])
        assert done.returncode == 0, done.stdout + done.stderr
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("seen ")]
        tests, modules = json.loads(line.removeprefix("seen "))
        return [(Path(path).relative_to(TESTS), set(markers)) for path, markers in tests], set(modules)

    return collect


@pytest.mark.long
@pytest.mark.parametrize(
    ("expression", "absent", "never"),
    [
        ("quick", HEAVY, set(MARKERS) - {"quick"}),
        (
            "not slurm and not train and not browser",
            HEAVY - {"mlflow", "scipy", "sklearn"},
            {"slurm", "train", "browser"},
        ),
    ],
)
def test_what_is_selected_loads_nothing_heavy(
    expression: str,
    absent: set[str],
    never: set[str],
    collected: Callable[[str], tuple[Tests, set[str]]],
) -> None:
    tests, modules = collected(expression)
    assert len(tests) > 500
    assert modules & absent == set()
    assert [path for path, markers in tests if markers & never] == []


@pytest.mark.long
def test_every_test_has_the_marker_of_its_folder(collected: Callable[[str], tuple[Tests, set[str]]]) -> None:
    tests, _ = collected("")
    for path, markers in tests:
        assert markers >= markers_of_file(path), path
        assert markers & MARKERS.keys(), path
        assert "quick" not in markers or markers & MARKERS.keys() == {"quick"}, path


def test_whole_folders_are_marked() -> None:
    for folder, marker in (("slurm", "slurm"), ("train", "train"), ("docs", "docs"), ("callbacks", "train")):
        files = sorted((TESTS / folder).glob("test_*.py"))
        assert files
        assert [path for path in files if markers_of_file(path.relative_to(TESTS)) != {marker}] == []


def test_table_names_files_that_are_there() -> None:
    assert [pattern for pattern in BY_PATH if not list(TESTS.glob(pattern))] == []


@pytest.mark.parametrize(
    ("path", "fixtures", "own", "markers"),
    [
        ("jobs/spec/test_resolve.py", ["tmp_path"], [], {"quick"}),
        ("jobs/spec/test_resolve.py", ["tmp_path"], ["parametrize"], {"quick"}),
        ("jobs/check/test_lora.py", ["tmp_path"], ["train"], set()),
        ("jobs/cli/test_bad_input.py", ["world"], [], {"train"}),
        ("slurm/test_readme.py", [], [], {"slurm"}),
        ("jobs/slurm/test_site.py", [], [], {"quick"}),
        ("callbacks/shared/test_journal.py", [], [], {"quick"}),
    ],
)
def test_marker_is_by_folder_file_and_fixture(
    path: str, fixtures: list[str], own: list[str], markers: set[str]
) -> None:
    assert markers_of_test(PurePath(path), fixtures, own) == markers


@pytest.mark.parametrize(
    ("expression", "left_out"),
    [
        ("quick", True),
        ("not train and not slurm", True),
        ("not train", False),
        ("slurm", False),
        ("not slurm or docs", False),
        ("not (slurm and docs)", False),
        ("", False),
    ],
)
def test_file_is_left_out_only_where_nothing_of_it_can_be_selected(expression: str, left_out: bool) -> None:
    assert is_left_out(PurePath("slurm/test_readme.py"), expression) is left_out
