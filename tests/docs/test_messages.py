"""Every message that troubleshooting.md shows stands in the code, word for word."""

import ast
import re
from collections.abc import Iterator

import pytest
from world import REPO_ROOT

PAGE = REPO_ROOT / "docs" / "troubleshooting.md"
NOT_OURS = {
    "launch failed requeued held",
    "JobHeldUser",
    "PartitionTimeLimit",
    "Invalid Host header",
    "CUDA out of memory",
}
"""Messages of Slurm, MLflow and torch."""
PUT_TOGETHER = {"train was preempted at step", 'record 7: field "output" is missing', "train.slurm_partition"}
"""Messages that the code puts together from shorter strings."""
LONG_ENOUGH = 10


def texts() -> list[str]:
    """The texts that the code can print: its strings, also those over several lines, without docstrings and comments."""
    files = [path for room in ("jobs", "callbacks", "data_prep", "slurm") for path in (REPO_ROOT / room).rglob("*.py")]
    return [text for path in files for text in _strings(ast.parse(path.read_text(encoding="utf-8")))]


def _strings(tree: ast.AST) -> Iterator[str]:
    """Each string of the code, with a gap for each inserted value. A string that stands alone is a docstring, and is left out."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def messages() -> list[str]:
    """The code texts in the first column of the tables; `…` stands for a part that differs from case to case."""
    cells = re.findall(r"^\| (.*?) \| ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [code for cell in cells for code in re.findall(r"``(.+?)``|`([^`]+)`", cell) for code in code if code]


def test_every_message_is_one_of_the_code() -> None:
    code, found = "\n".join(texts()), messages()
    pieces = [piece.strip(" :,;.?()") for message in found for piece in message.split("…")]
    unknown = {piece for piece in pieces if len(piece) >= LONG_ENOUGH and piece not in code}
    assert len(found) > 60
    assert unknown == NOT_OURS & unknown | PUT_TOGETHER


@pytest.mark.parametrize("text", sorted(PUT_TOGETHER))
def test_what_is_put_together_is_on_the_page(text: str) -> None:
    assert text in PAGE.read_text(encoding="utf-8")
