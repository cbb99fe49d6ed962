"""Brings a dev cluster up and down, and does to it what happens to a cluster: preemptions, nodes that die."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from dev_cluster import daemons
from dev_cluster.ownership import last_will, lock
from dev_cluster.processes import controllers, kill, tasks, wait_until
from dev_cluster.processes import daemons as daemon_pids
from dev_cluster.qos import higher_priority, make_qos
from dev_cluster.root import inside
from dev_cluster.site import GPU_NODES, NODES, PREEMPTABLE, Site

DEFAULT_FOLDER = Path("~/.cache/regrow/dev-cluster")
STOP_SECONDS = 30
_AS_LAST_WILL = (sys.executable, "-m", "dev_cluster.cluster")
"""With the command and its arguments: what takes a cluster down whose owner was killed."""


class DevClusterError(RuntimeError):
    """The cluster cannot do what was asked; the message says what to type."""


@dataclass(frozen=True)
class DevCluster:
    """One cluster, in its own folder. A socket's path has at most 107 characters: keep the folder's short."""

    folder: Path

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def bin(self) -> Path:
        """Folder of Slurm's commands for this cluster."""
        return self.folder / "bin"

    @property
    def site_json(self) -> Path:
        """Written last: the cluster is up only when this is there."""
        return self.folder / "site.json"

    @property
    def site(self) -> Site | None:
        """The options that it was brought up with; None: it is down."""
        return Site(**json.loads(self.site_json.read_bytes())) if self.site_json.exists() else None

    def up(self, site: Site) -> bool:
        """Bring it up, unless it is; whether anything was started.

        Raises:
            DevClusterError: packages are missing, it is up with other options, a daemon did not start, or another process
                brings it up or takes it down, and does not come to an end.
        """
        with self._lock("up or down") as held:
            if self.site == site and self.is_answering():
                return False
            if self.site not in (None, site) and self.is_answering():
                raise DevClusterError(
                    f"{self.folder}: a cluster with other options is up\nhint: `regrow dev-cluster down`"
                )
            if reason := daemons.why_not(site):
                raise DevClusterError(reason)
            with last_will([*_AS_LAST_WILL, "end", str(self.folder)], keeps=[held]):
                self._start_or_remove(site)
        return True

    def down(self) -> bool:
        """End every process of the cluster and remove its folder; whether there was anything.

        Raises:
            DevClusterError: another process brings it up or takes it down, and does not come to an end.
        """
        with self._lock("up or down"):
            was_there = self.folder.exists() or bool(daemon_pids(self.folder))
            self._remove()
            return was_there

    @contextmanager
    def held(self, *with_it: Path) -> Iterator["DevCluster"]:
        """Own the cluster: what is up at the end of the block is taken down, also if this process is killed.

        Args:
            with_it: folders that are removed after the cluster.

        Raises:
            DevClusterError: another process owns it.
        """
        will = [*_AS_LAST_WILL, "down", *map(str, (self.folder, *with_it))]
        with self._lock("held") as held, last_will(will, keeps=[held]):
            try:
                yield self
            finally:
                self.down()
                for folder in with_it:
                    shutil.rmtree(folder)

    def is_answering(self) -> bool:
        return self.conf.exists() and self.run("scontrol", "ping").returncode == 0

    def idle_nodes(self) -> set[str]:
        """Nodes that could take a job at once."""
        return set(self.run("sinfo", "--noheader", "--Node", "--states=idle", "--format=%N").stdout.split())

    def preemptable_jobs(self) -> list[str]:
        """The jobs that `preempt` would take off their nodes: id and name.

        Raises:
            DevClusterError: the cluster is down.
        """
        self._require_up()
        jobs = self.run("squeue", "--noheader", f"--partition={PREEMPTABLE}", "--states=RUNNING", "--format=%i (%j)")
        return jobs.stdout.splitlines()

    def preempt(self, seconds: float = 1) -> str:
        """Take all GPU nodes away for so long, by a job of higher priority; its id. It starts when they are free."""
        self._require_up()
        assert self.site
        done = self.run("sbatch", "--parsable", *higher_priority(self.site), f"--nodes={len(GPU_NODES)}",
                        "--job-name=preemptor", "--output=/dev/null", f"--wrap=sleep {seconds}")  # fmt: skip
        if done.returncode:
            raise DevClusterError(done.stderr.strip())
        return done.stdout.strip()

    def kill_node(self, node: str) -> None:
        """What a power cut does: the daemon, the step managers and the tasks, all at once."""
        kill([*daemon_pids(self.folder, node), *tasks(self.folder, node)], signal.SIGKILL)

    def start_node(self, node: str) -> None:
        assert self.site
        daemons.start_node(self.site, self.folder, node)

    def signal_controller(self, number: signal.Signals) -> None:
        """Kill, stop or continue the controller."""
        kill(controllers(self.folder), number)
        if number == signal.SIGKILL:
            wait_until(lambda: not controllers(self.folder), STOP_SECONDS, "the controller")

    def start_controller(self) -> None:
        """Start the controller again; it knows all jobs."""
        daemons.start_controller(self.folder)
        wait_until(self.is_answering, STOP_SECONDS, "the controller")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """One of Slurm's commands, against this cluster."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "SBATCH"))}
        return subprocess.run(
            inside(self.folder, command),
            env=environment | {"SLURM_CONF": str(self.conf)},
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )

    def _require_up(self) -> None:
        if self.site is None or not self.is_answering():
            raise DevClusterError("the dev cluster is down\nhint: `regrow dev-cluster up`")

    @contextmanager
    def _lock(self, what: str) -> Iterator[int]:
        try:
            with lock(f"{what}: {self.folder}") as held:
                yield held
        except TimeoutError as error:
            raise DevClusterError(f"{error}") from None

    def _start_or_remove(self, site: Site) -> None:
        """Of a failure, the daemons' logs are kept."""
        self._remove()
        try:
            self._start(site)
        except (RuntimeError, TimeoutError, OSError) as error:
            self._end_processes()
            raise DevClusterError(f"{error}\nThe daemons' logs: {self.folder}/log") from None
        except BaseException:  # a signal
            self._remove()
            raise

    def _start(self, site: Site) -> None:
        self.folder.mkdir(mode=0o700, parents=True)
        ports = daemons.write_files(site, self.folder)
        daemons.start_all(site, self.folder, ports)
        wait_until(lambda: len(self.idle_nodes()) == len(NODES), STOP_SECONDS, "nodes of the dev cluster")
        if site.preempt_type == "qos":
            make_qos(self.run, site)
        self.site_json.write_text(json.dumps(asdict(site)))

    def _remove(self) -> None:
        self._end_processes()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end_processes(self) -> None:
        """The nodes first, with what runs on them, so that nothing is requeued while we end it; then the rest.

        Looks again and again: a daemon that was just being started brings forth others.
        """
        asked: set[int] = set()

        def have_ended() -> bool:
            found = set(daemon_pids(self.folder))
            kill(sorted(found - asked), signal.SIGTERM)
            asked.update(found)
            return not found

        def are_gone() -> bool:
            found = [*daemon_pids(self.folder), *tasks(self.folder)]
            kill(found, signal.SIGKILL)
            return not found

        for node in NODES:
            self.kill_node(node)
        with suppress(TimeoutError):
            wait_until(have_ended, STOP_SECONDS, "daemons")
        wait_until(are_gone, STOP_SECONDS, "processes of the cluster")


@contextmanager
def temporary_cluster() -> Iterator[DevCluster]:
    """A cluster that is down, in a temporary folder, which is its parent: both are gone after the block, or a kill."""
    folder = Path(tempfile.mkdtemp(prefix="regrow-"))  # short: a socket's path has at most 107 characters
    with DevCluster(folder / "c").held(folder) as cluster:
        yield cluster


def _as_last_will(what: str, folder: str, *with_it: str) -> None:
    """`python -m dev_cluster.cluster end|down FOLDER…`. `end`: of an `up`, whose lock this process has inherited."""
    cluster = DevCluster(Path(folder))
    if what == "end":
        cluster._remove()
    else:
        cluster.down()
    for each in with_it:
        shutil.rmtree(each, ignore_errors=True)


if __name__ == "__main__":
    _as_last_will(*sys.argv[1:])
