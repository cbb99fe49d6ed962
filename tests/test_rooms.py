"""The rules of the source tree: which room may import which, no circles, no crowded folders, no long files or functions."""

import ast
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
from world import REPO_ROOT

PACKAGES = ("jobs", "callbacks", "data_prep")
MOST_FILES, MOST_LINES, MOST_FUNCTION_LINES = 20, 250, 60
ENGINE = ("jobs.evaluation.transformers_engine", "callbacks.generation")
"""The only import by `jobs` of a module of the ranks. It happens in a child process that has torch."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """All imports, including those inside functions and those for types only."""
    return grimp.build_graph(*PACKAGES, cache_dir=None)


def _arrows(graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
    for module in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            yield module, imported


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2]) if module.startswith(("jobs.", "callbacks.shared")) else module.split(".")[0]


def _circles(arrows: set[tuple[str, str]]) -> list[set[str]]:
    """The names that remain after repeatedly removing each name that imports no remaining name; empty: there is no circle."""
    while True:
        importing = {one for one, _ in arrows}
        left = {(one, other) for one, other in arrows if other in importing}
        if left == arrows:
            return [importing] if importing else []
        arrows = left


def test_modules_import_each_other_in_no_circle(graph: grimp.ImportGraph) -> None:
    assert _circles(set(_arrows(graph))) == []


def test_rooms_import_each_other_in_no_circle(graph: grimp.ImportGraph) -> None:
    between = {(_room(one), _room(other)) for one, other in _arrows(graph) if _room(one) != _room(other)}
    assert len(between) > 20
    assert _circles(between) == []


def test_circle_is_found() -> None:
    assert _circles({("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")}) == [{"a", "b", "c"}]


def test_jobs_know_of_the_callbacks_the_shared_modules_alone(graph: grimp.ImportGraph) -> None:
    others = {
        (one, other)
        for one, other in _arrows(graph)
        if one.startswith(("jobs", "callbacks.shared"))
        and other.startswith("callbacks.")
        and not other.startswith("callbacks.shared")
    }
    assert others == {ENGINE}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_is_crowded(package: str) -> None:
    for folder in {path.parent for path in (REPO_ROOT / package).rglob("*.py")}:
        assert len(list(folder.glob("*.py"))) <= MOST_FILES, folder


def _sources() -> list[Path]:
    folders = (*PACKAGES, "slurm", "benchmarks", "tests")
    return [path for folder in folders for path in (REPO_ROOT / folder).rglob("*.py")]


@pytest.fixture(scope="module")
def nodes() -> list[tuple[Path, ast.AST]]:
    """Each node of the syntax tree of each source file."""
    trees = ((path, ast.parse(path.read_text(encoding="utf-8"))) for path in _sources())
    return [(path, node) for path, tree in trees for node in ast.walk(tree)]


def test_long_files_say_why_at_their_top() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in _sources()}
    too_long = {path for path, text in texts.items() if text.count("\n") > MOST_LINES}
    assert [path for path in sorted(too_long) if "Over 250 lines:" not in texts[path][:600]] == []


def test_no_function_is_long(nodes: list[tuple[Path, ast.AST]]) -> None:
    found = [
        f"{path}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for path, node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
        if node.end_lineno - node.lineno >= MOST_FUNCTION_LINES
    ]
    assert found == []


def test_no_expression_stands_where_a_statement_would(nodes: list[tuple[Path, ast.AST]]) -> None:
    """No statement is only `a() if x else b()` or `x and a()`: an `if` is clearer."""
    found = [
        f"{path}:{node.lineno}"
        for path, node in nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.IfExp | ast.BoolOp)
    ]
    assert found == []


def test_a_process_is_left_in_one_place() -> None:
    found = [
        str(path.relative_to(REPO_ROOT))
        for package in PACKAGES
        for path in (REPO_ROOT / package).rglob("*.py")
        if "os._exit(" in path.read_text(encoding="utf-8")
    ]
    assert found == ["callbacks/shared/process/interpreter.py"]
