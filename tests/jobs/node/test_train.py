"""The train stage as a process: which files it leaves if it is killed."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from dev_cluster.processes import wait_until
from patience import HANGS_AFTER_SECONDS
from world import REGROW, REPO_ROOT, World

from jobs.node.train import _free_port, remove_half_compiled

RANK_THAT_WAITS = """#!/bin/sh
case "$*" in
*callbacks.rank*train*) echo $PPID > {folder}/stage.new; mv {folder}/stage.new {folder}/stage; exec sleep 1000 ;;
*) exec {python} "$@" ;;
esac
"""
"""Runs in place of Python: the rank writes the process id of its stage to a file, and waits until it is killed."""


def test_what_a_killed_attempt_was_compiling_is_removed(tmp_path: Path) -> None:
    """If the lock of a compilation exists, torch waits forever for its end."""
    for name, files in {"whole": ("x.so",), "half": ("x.so", "lock")}.items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).touch()
    remove_half_compiled(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]
    remove_half_compiled(tmp_path / "nothing was compiled")


def test_port_is_none_that_the_kernel_gives_to_others() -> None:
    """A port of that range may be taken between this look and the moment when rank 0 listens."""
    lowest_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert {0 < _free_port() < lowest_given for _ in range(20)} == {True}


@pytest.mark.train
def test_killed_stage_leaves_no_temporary_folder(world: World, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(RANK_THAT_WAITS.format(folder=tmp_path, python=sys.executable))
    python.chmod(0o755)
    values = [*world.settings, f"runs_root={tmp_path / 'runs'}", f"python={python}"]
    typed = [word for value in values for word in ("--set", value)]
    config = str(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml")
    command = [str(REGROW), "submit", config, "--cluster", "local", "--name", "killed", "--no-check", *typed]
    # A short path: the tokenising processes have a socket in this folder, and a socket's path has at most 107 characters.
    with (
        tempfile.TemporaryDirectory(prefix="regrow-") as temporary,
        subprocess.Popen(
            command,
            env=world.environment | {"TMPDIR": temporary},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        wait_until(
            lambda: (tmp_path / "stage").exists() or process.poll() is not None, HANGS_AFTER_SECONDS, "the rank's start"
        )
        assert (tmp_path / "stage").exists(), process.communicate()[0]
        os.kill(int((tmp_path / "stage").read_text()), signal.SIGKILL)
        output, _ = process.communicate(timeout=HANGS_AFTER_SECONDS)
        assert process.returncode != 0, output
        assert [path.name for path in Path(temporary).glob("regrow-*")] == []
