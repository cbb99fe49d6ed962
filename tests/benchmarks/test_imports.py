"""Every name that the benchmarks import from our packages exists. Nobody runs the benchmarks after each change."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from world import REPO_ROOT

FILES = sorted((REPO_ROOT / "benchmarks").rglob("*.py"))
OURS = ("jobs.", "callbacks.", "data_prep.", "dev_cluster.")


def _names_of(path: str) -> Iterator[str]:
    """The names at a module's top level, read from its text: importing it may take seconds."""
    for node in ast.parse(Path(path).read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name) | ast.ClassDef(name):
                yield name
            case ast.Import(names) | ast.ImportFrom(names=names):
                yield from (each.asname or each.name for each in names)
            case ast.Assign() | ast.AnnAssign():
                yield from (each.id for each in ast.walk(node) if isinstance(each, ast.Name))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_imported_names_are_there(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(OURS):
            module = find_spec(node.module)
            assert module and module.origin, node.module
            lacking = {each.name for each in node.names} - set(_names_of(module.origin))
            assert {name for name in lacking if not find_spec(f"{node.module}.{name}")} == set(), node.module
