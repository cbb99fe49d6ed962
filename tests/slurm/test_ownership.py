"""A dev cluster leaves nothing when its owner ends. On a real Slurm, each way to start one is interrupted by each signal."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from dev_cluster.cluster import DevCluster
from dev_cluster.daemons import SBIN
from dev_cluster.processes import controllers, daemons, tasks, wait_until
from dev_cluster.site import NODES, Site
from patience import HANGS_AFTER_SECONDS
from world import REGROW, REPO_ROOT, World

QUICK = Site(accounting=False)
"""Only a process that hangs takes so long."""
OWNER = """
import signal
from dev_cluster.cluster import temporary_cluster
from dev_cluster.ownership import exit_on_signals
from dev_cluster.site import Site
exit_on_signals()
with temporary_cluster() as cluster:
    cluster.up(Site(accounting=False))
    print(cluster.folder, flush=True)
    signal.pause()
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A temporary folder for a child process. Its path is short, because a socket's path has at most 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="rg-"))
    yield folder
    shutil.rmtree(folder)


def signals_its_parent(folder: Path, program: str, number: signal.Signals) -> dict[str, str]:
    """An environment in which `program`, unless it is asked for its version, first sends a signal to its parent process."""
    real = shutil.which(program, path=f"{os.environ['PATH']}:{SBIN}")
    wrapper = folder / "bin" / program
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\n[ "$1" = -V ] || kill -{number.name[3:]} $PPID\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    return {**os.environ, "PATH": f"{wrapper.parent}:{os.environ['PATH']}"}


def processes_of(folder: Path) -> list[int]:
    return [*daemons(folder), *tasks(folder)]


def wait_until_nothing_is_left(folder: Path) -> None:
    """Wait until all processes and files are gone: after SIGKILL there is no owner whose end a test could wait for."""
    wait_until(
        lambda: not (processes_of(folder) or folder.exists()), HANGS_AFTER_SECONDS, f"the end of all in {folder}"
    )


def start_up(cluster: DevCluster, environment: dict[str, str], *options: str) -> subprocess.Popen[bytes]:
    command = [REGROW, "dev-cluster", "up", *options, "--folder", cluster.folder]
    env = Path(shutil.which("env") or "env")  # under nohup, the tests' processes would ignore the terminal's end
    return subprocess.Popen([env, "--default-signal=HUP", *command], env=environment)


@pytest.mark.parametrize(
    ("program", "number", "options"),
    [
        ("munged", signal.SIGHUP, ["--no-accounting"]),
        ("mariadb-install-db", signal.SIGTERM, []),
        ("slurmdbd", signal.SIGINT, []),
        ("slurmctld", signal.SIGTERM, ["--no-accounting"]),
        ("slurmd", signal.SIGINT, ["--no-accounting"]),
        ("sinfo", signal.SIGTERM, ["--no-accounting"]),
    ],
)
def test_bring_up_that_is_ended_half_way_leaves_nothing(
    cluster: DevCluster, tmp_path: Path, program: str, number: signal.Signals, options: list[str]
) -> None:
    with start_up(cluster, signals_its_parent(tmp_path, program, number), *options) as process:
        assert process.wait(HANGS_AFTER_SECONDS) == 128 + number
    assert not processes_of(cluster.folder)
    assert not cluster.folder.exists()
    assert cluster.up(QUICK)
    assert cluster.idle_nodes() == set(NODES)


@pytest.mark.parametrize("program", ["munged", "slurmctld", "slurmd"])
def test_after_a_bring_up_that_was_killed_the_next_one_works(cluster: DevCluster, tmp_path: Path, program: str) -> None:
    """The next one may start at once: it waits until the clean-up has ended, and the clean-up does not touch it."""
    environment = signals_its_parent(tmp_path, program, signal.SIGKILL)
    with start_up(cluster, environment, "--no-accounting") as process:
        assert process.wait(HANGS_AFTER_SECONDS) == -signal.SIGKILL
    assert cluster.up(QUICK)
    assert cluster.idle_nodes() == set(NODES)
    assert cluster.down()
    assert not processes_of(cluster.folder)


def test_two_at_once_bring_up_one_cluster(cluster: DevCluster) -> None:
    first, second = (start_up(cluster, dict(os.environ), "--no-accounting") for _ in range(2))
    with first, second:
        assert (first.wait(HANGS_AFTER_SECONDS), second.wait(HANGS_AFTER_SECONDS)) == (0, 0)
    assert cluster.idle_nodes() == set(NODES)
    assert len(controllers(cluster.folder)) == 1


def test_bring_up_that_was_killed_leaves_nothing_even_if_nobody_looks(cluster: DevCluster, tmp_path: Path) -> None:
    environment = signals_its_parent(tmp_path, "slurmctld", signal.SIGKILL)
    with start_up(cluster, environment, "--no-accounting") as process:
        process.wait(HANGS_AFTER_SECONDS)
    wait_until_nothing_is_left(cluster.folder)


def test_half_a_cluster_without_any_owner_is_seen_and_taken_down(
    cluster: DevCluster, tmp_path: Path, world: World
) -> None:
    """This is the state after all processes that the user had started were killed."""
    environment = signals_its_parent(tmp_path, "slurmctld", signal.SIGSTOP)
    with start_up(cluster, environment, "--no-accounting") as process:
        wait_until(lambda: (cluster.folder / "run" / "slurmctld.pid").exists(), HANGS_AFTER_SECONDS, "slurmctld")
        for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            if b"dev_cluster.cluster" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(int(pid), signal.SIGKILL)  # the shell that would clean up
        process.kill()
        process.wait(HANGS_AFTER_SECONDS)
    assert processes_of(cluster.folder)
    folder = ("--folder", str(cluster.folder))
    assert world.regrow("dev-cluster", "status", *folder).returncode == 1
    assert world.regrow("dev-cluster", "down", *folder).stdout == "the dev cluster is down\n"
    assert not processes_of(cluster.folder)
    assert not cluster.folder.exists()
    assert world.regrow("dev-cluster", "down", *folder).stdout == "there was no dev cluster\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_cluster_ends_with_the_program_that_holds_it(temporary: Path, number: signal.Signals) -> None:
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen([sys.executable, "-c", OWNER], env=environment, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        assert daemons(folder)
        owner.send_signal(number)
        assert owner.wait(HANGS_AFTER_SECONDS) == (-number if number == signal.SIGKILL else 128 + number)
    if number == signal.SIGKILL:
        wait_until_nothing_is_left(folder.parent)
    assert not processes_of(folder)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_cluster_ends_with_the_tests(temporary: Path, number: signal.Signals) -> None:
    """The tests are ended while one of them, whose cluster is up, submits a job."""
    environment = signals_its_parent(temporary, "sbatch", number) | {"TMPDIR": str(temporary)}
    test = "tests/slurm/test_dev_cluster.py::test_down_leaves_no_process_and_no_file"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    done = subprocess.run(command, cwd=REPO_ROOT, env=environment, capture_output=True, text=True, check=False)
    killed = number == signal.SIGKILL
    assert done.returncode == (-number if killed else 128 + number), done.stdout + done.stderr
    left = lambda: [*temporary.glob("regrow-*"), *_daemons_below(temporary)]  # noqa: E731
    if killed:
        wait_until(lambda: not left(), HANGS_AFTER_SECONDS, "the end of the tests' cluster")
    assert left() == []


def test_make_chaos_ends_its_clusters(temporary: Path, world: World) -> None:
    folders = [temporary / ".cache" / "regrow" / f"chaos{number}" for number in range(2)]
    for number in range(2):
        shutil.copytree(world.folder / "model", temporary / "out" / f"worker{number}" / "model")
    arguments = f"--folder {temporary}/out --only '^preempted (three|twice)'"
    command = [
        "make",
        "--old-file=setup",
        "--old-file=slurm-packages",
        f"BIN={REGROW.parent}",
        "chaos",
        f"ARGS={arguments}",
    ]
    environment = {**os.environ, "HOME": str(temporary)}
    with subprocess.Popen(command, cwd=REPO_ROOT, env=environment) as process:
        wait_until(
            lambda: all((folder / "site.json").exists() for folder in folders) or process.poll() is not None,
            HANGS_AFTER_SECONDS,
            "both clusters",
        )
        process.terminate()
        assert process.wait(HANGS_AFTER_SECONDS) != 0
    for folder in folders:
        assert not processes_of(folder)
        assert not folder.exists()


def _daemons_below(folder: Path) -> list[int]:
    return [pid for cluster in folder.glob("regrow-*/c") for pid in daemons(cluster)]
