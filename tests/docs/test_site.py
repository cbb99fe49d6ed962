"""The site is built without a warning and without a network, and its reference has every key and every command."""

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from blocks import PAGES
from pydantic import BaseModel
from typer.main import get_command
from world import REPO_ROOT

from callbacks.shared.args import Regrow
from callbacks.shared.events import KINDS, Event
from jobs.cli.main import app
from jobs.history.spent import Spent
from jobs.history.status import JobStatus, RunStatus
from jobs.history.time_spent import AttemptTimes
from jobs.slurm.sbatch import SHARED_PARAMETERS, SLURM_PARAMETERS
from jobs.spec.profile import ClusterProfile


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, clean_environment: dict[str, str]) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=REPO_ROOT, env=clean_environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def keys(model: type[BaseModel]) -> Iterator[str]:
    """The keys of a class and of all classes below it."""
    for name, found in model.model_fields.items():
        yield name
        for nested in re.findall(r"[\w.]+", str(found.annotation)):
            for each in BaseModel.__subclasses__():
                yield from (key for below in _subclasses(each) if f"{below.__module__}.{below.__name__}" == nested
                            for key in keys(below))  # fmt: skip


def _subclasses(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for below in model.__subclasses__():
        yield from _subclasses(below)


def cells(page: Path) -> set[str]:
    """The code texts at the start of each table row."""
    return set(re.findall(r"<tr>\s*<td><code>([^<]*)</code></td>", page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("model", [Regrow, ClusterProfile])
def test_reference_has_every_key(site: Path, model: type[BaseModel]) -> None:
    found = list(keys(model))
    assert len(found) > len(model.model_fields)
    assert set(found) <= cells(site / "reference.html")


def test_journal_page_has_every_event_and_field(site: Path) -> None:
    headings = set(re.findall(r"<h2[^>]*><code>(\w+)</code>", (site / "journal.html").read_text("utf-8")))
    assert headings == set(KINDS) - {"torn_line"}
    own = {name for kind in KINDS.values() for name in kind.__struct_fields__} - set(Event.__struct_fields__)
    assert own <= cells(site / "journal.html")


def test_reference_has_every_stage_parameter(site: Path) -> None:
    assert cells(site / "reference.html") >= (SHARED_PARAMETERS | SLURM_PARAMETERS)


def test_reference_has_every_command_and_option(site: Path) -> None:
    headings = set(re.findall(r"<h3[^>]*><code>(regrow [^<]*)</code>", (site / "reference.html").read_text("utf-8")))
    found = dict(commands(get_command(app), "regrow"))
    assert headings == set(found)
    options = " ".join(cells(site / "reference.html"))
    for name, command in found.items():
        for option in (each for each in command.params if isinstance(each, click.Option)):
            assert max(option.opts, key=len) in options, f"{name} {option.opts}"


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from commands(child, f"{path} {name}")


def test_site_fetches_nothing(site: Path) -> None:
    """The site loads no script, style, font or image from another site. Only links that a reader clicks may lead there."""
    fetched = re.compile(r'<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"')
    for page in site.rglob("*.html"):
        loads = [tag for tag in fetched.findall(page.read_text(encoding="utf-8")) if 'rel="canonical"' not in tag]
        assert not loads, f"{page.name}: {loads}"


@pytest.mark.parametrize("page", [*PAGES, REPO_ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_relative_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def test_generated_parts_are_filled_in(site: Path) -> None:
    for page in (site / "reference.html", site / "watching.html"):
        assert "<!-- " not in page.read_text(encoding="utf-8").partition("<article")[2].partition("</article>")[0]


@pytest.mark.parametrize("kind", [RunStatus, JobStatus, AttemptTimes, Spent])
def test_watching_has_every_key_of_the_json(site: Path, kind: type) -> None:
    assert {each.name for each in dataclasses.fields(kind)} <= cells(site / "watching.html")
