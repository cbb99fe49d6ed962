"""The commands that the pages tell readers to type, and a clone in which to type them without touching the user's files."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from world import REPO_ROOT

ANYWHERE, DEV_CLUSTER, YOUR_CLUSTER, ONCE, MINUTES = (
    "",
    "on the dev cluster",
    "on your cluster",
    "once",
    "takes minutes",
)
"""Titles of bash blocks. test_commands.py runs the first, tests/slurm/test_readme.py the second. Blocks with another title
are not run: tests only check their commands."""
PAGES = [REPO_ROOT / "README.md", *sorted(REPO_ROOT.glob("docs/*.md"))]
IN_A_CLONE = ("axolotl_configs", "callbacks", "data_prep", "deepspeed_configs", "docs", "jobs", "slurm", "tests", "trainers",
              "constraints.txt", "Makefile", "mkdocs.yml", "pyproject.toml", "README.md", "regrow.py")  # fmt: skip
_FENCE = re.compile(
    r'^```(?P<language>\w*)(?: title="(?P<title>[^"]*)")?\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """One bash block of a page."""

    page: Path
    title: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of the block, one a line; a line that ends with `\\` continues on the next."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line for line in lines if shlex.split(line, comments=True)]

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPO_ROOT)}: {self.commands[0]}"


def blocks(title: str | None = None) -> Iterator[Block]:
    """The bash blocks of all pages, in order; with `title`, only those with this title."""
    for page in PAGES:
        for found in _FENCE.finditer(page.read_text(encoding="utf-8")):
            block = Block(page, found["title"] or "", found["text"])
            if found["language"] == "bash" and title in (None, block.title):
                yield block


def words(command: str) -> list[list[str]]:
    """The commands of a line, each as a list of words, without the assignments before it: `A=1 x && y` is [x], [y]."""
    split: list[list[str]] = [[]]
    lexer = shlex.shlex(command, posix=True, punctuation_chars="&|;")
    lexer.whitespace_split = True
    for word in lexer:
        if set(word) <= set("&|;"):
            split.append([])
        else:
            split[-1].append(word)
    return [_without_assignments(each) for each in split if each]


def _without_assignments(command: list[str]) -> list[str]:
    return command[next((i for i, word in enumerate(command) if not re.match(r"\w+=", word)), len(command)) :]


@dataclass(frozen=True)
class Clone:
    """A copy of the checkout with its own home folder. Everything that a command writes by default goes there."""

    folder: Path
    environment: dict[str, str]

    @classmethod
    def make(cls, place: Path, environment: dict[str, str]) -> "Clone":
        """Make a clone in `place`, an empty folder. If a dev cluster is to start there, its path must be short."""
        folder, home, programs = place / "regrow", place / "home", Path(sys.executable).parent
        folder.mkdir()
        home.mkdir()
        for name in IN_A_CLONE:
            source = REPO_ROOT / name
            ignored = shutil.ignore_patterns("__pycache__")
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=ignored)
            else:
                shutil.copy(source, folder)
        (folder / ".venv").symlink_to(programs.parent)
        kept = {key: value for key, value in environment.items() if not key.startswith(("XDG_", "HF_HOME"))}
        path = os.pathsep.join([str(programs), environment["PATH"]])
        packages = os.pathsep.join([str(folder), str(folder / "slurm")])  # before the packages of the checkout
        return cls(folder, kept | {"HOME": str(home), "PATH": path, "PYTHONPATH": packages, "COLUMNS": "120"})

    @property
    def dev_cluster(self) -> Path:
        """The folder in which `regrow dev-cluster up` starts the dev cluster."""
        return Path(self.environment["HOME"]) / ".cache" / "regrow" / "dev-cluster"

    def type(self, command: str) -> str:
        """Type a command in the clone, and return its output. The command must succeed."""
        done = subprocess.run(["bash", "-c", command], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, f"{command}\nexits with {done.returncode}:\n{done.stdout}"
        return done.stdout
