"""The commands in README.md and the pages work. A test runs them, or only checks their words if they need a site or much time."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from blocks import ANYWHERE, DEV_CLUSTER, MINUTES, ONCE, PAGES, YOUR_CLUSTER, Block, Clone, blocks, words
from typer.main import get_command
from world import REPO_ROOT

from jobs.cli.main import app

NOT_RUN = {ONCE, MINUTES, YOUR_CLUSTER}
NOT_OURS = {"git", "cp", ".", "pip", "python3.11", "hf", "export", "module", "mlflow", "sinfo", "scontrol", "squeue", "sacct",
            "sacctmgr", "scancel", "srun", "rsync", "stat", "ls", "mkdocs", "accelerate", "cd", "grep", "dd"}  # fmt: skip
"""Programs that may stand in blocks that are not run. Only their names are checked, not their arguments."""


def regrow_commands() -> Iterator[tuple[list[str], bool]]:
    """The words after each `regrow` in the bash blocks and in the text, and whether the text only mentions the command."""
    told = [(line, False) for block in blocks() for line in block.commands]
    code = re.compile(r"`(regrow [a-z-]+[^`…>]*)`")
    mentions = [(line, True) for page in PAGES for line in code.findall(page.read_text(encoding="utf-8"))]
    for line, is_mention in [*told, *mentions]:
        for program, *arguments in filter(None, words(line)):
            if program == "regrow":
                yield arguments, is_mention


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, clean_environment: dict[str, str]) -> Clone:
    return Clone.make(tmp_path_factory.mktemp("clone"), clean_environment)


@pytest.mark.parametrize("block", list(blocks(ANYWHERE)), ids=str)
def test_block_runs_in_a_clone(clone: Clone, block: Block) -> None:
    for command in block.commands:
        clone.type(command)


def test_what_is_not_run_says_so() -> None:
    assert {block.title for block in blocks()} == {ANYWHERE, DEV_CLUSTER, *NOT_RUN}
    for block in blocks(ANYWHERE):
        assert "--cluster dev" not in block.text, f"{block}: mark it {DEV_CLUSTER!r}"
        assert "dev-cluster" not in block.text, f"{block}: mark it {DEV_CLUSTER!r}"


def test_every_regrow_command_is_one() -> None:
    found = list(regrow_commands())
    assert len(found) > 40
    for arguments, is_mention in found:
        parse(arguments, is_mention)


def parse(arguments: list[str], is_mention: bool) -> None:
    """Let the command line parse the arguments without running anything. If it rejects them, fail with its message.

    Args:
        is_mention: the text only mentions the command, which may lack arguments.
    """
    command, context, rest = get_command(app), None, arguments
    try:
        while isinstance(command, click.Group):
            context = command.make_context(command.name, [*rest], parent=context)
            name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            assert found, name
            command = found
        command.make_context(command.name, [*rest], parent=context)
    except click.exceptions.Exit:  # --help
        return
    except click.ClickException as error:
        is_lacking = isinstance(error, click.MissingParameter | click.exceptions.NoArgsIsHelpError)
        if not (is_mention and is_lacking):
            pytest.fail(f"regrow {' '.join(arguments)}: {error.format_message()}")


def test_what_is_not_run_are_known_programs_and_targets() -> None:
    for block in blocks():
        for command in block.commands if block.title in NOT_RUN else []:
            for program, *arguments in filter(None, words(command)):
                if program == "make":
                    targets = [word for word in arguments if "=" not in word]
                    assert targets
                    assert set(targets) <= make_targets(), f"{block}: {command}"
                else:
                    assert program in {"regrow", *NOT_OURS}, f"{block}: {command}"


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (REPO_ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_make_takes_the_targets_that_are_not_run() -> None:
    for block in blocks():
        for command in block.commands if block.title in NOT_RUN else []:
            if command.startswith("make ") and "&&" not in command:
                done = subprocess.run(["bash", "-c", command.replace("make ", "make -n ")], cwd=REPO_ROOT, check=False,
                                      capture_output=True, text=True)  # fmt: skip
                assert done.returncode == 0, done.stderr


def test_readme_and_tutorial_tell_the_same() -> None:
    """The pages have the same commands, so one run of the tutorial on a real Slurm tests both."""
    readme, tutorial = ([command for block in blocks(DEV_CLUSTER) if block.page.name == name for command in stripped(block)]
                        for name in ("README.md", "tutorial.md"))  # fmt: skip
    rest = iter(tutorial)
    assert readme
    assert [command for command in readme if command not in rest] == []


def stripped(block: Block) -> list[str]:
    """The commands of a block without their comments."""
    return [command.partition("#")[0].strip() for command in block.commands]


def test_clone_has_all_that_a_clone_has() -> None:
    """A command may need a folder that is new in the checkout."""
    tracked = subprocess.run(["git", "ls-files"], cwd=REPO_ROOT, capture_output=True, text=True, check=False).stdout
    if not tracked:
        pytest.skip("not a git checkout")
    from blocks import IN_A_CLONE

    hidden = {".ci", ".editorconfig", ".github", ".gitignore", ".pre-commit-config.yaml"}
    known = {*IN_A_CLONE, *hidden, "benchmarks", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"}
    assert {Path(path).parts[0] for path in tracked.splitlines()} <= known
