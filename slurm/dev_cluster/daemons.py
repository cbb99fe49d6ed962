"""Starts the daemons of a dev cluster, each with its own files under the cluster's folder."""

import getpass
import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from dev_cluster.processes import CLUSTER_ENV, NODE_ENV, wait_until
from dev_cluster.root import CLIENTS, hold, inside, why_not_version, write_clients
from dev_cluster.site import GPUS_PER_NODE, NODES, Ports, Site, cgroup_conf, gres_conf, slurm_conf, slurmdbd_conf

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
ACCOUNTING_PACKAGES = ("slurmdbd", "mariadb-server")
INSTALL = "apt-get install -y --no-install-recommends"
SBIN = "/usr/sbin:/sbin"
"""Where the daemons are; a plain user's PATH lacks it."""
START_SECONDS = 30
_SEE = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
"""A shell's command, for a namespace of its own: see one folder in the place of another."""
ROOTS_MARIADB = f"/usr/lib/bookworm/usr/lib/{platform.machine()}-linux-gnu"
"""Where make_roots.sh puts a client library of MariaDB that slurmdbd understands; not there on the machine itself."""


def missing_packages(site: Site) -> list[str]:
    """Debian packages of this machine without which the cluster cannot come up."""
    if site.slurm:
        return []
    programs = {"slurmctld": "slurmctld", "slurmd": "slurmd", "slurm-client": "scontrol", "munge": "munged"}
    if site.accounting:
        programs |= {"slurmdbd": "slurmdbd", "mariadb-server": "mariadbd"}
    return [package for package, program in programs.items() if not _path_of(program)]


def why_not(site: Site) -> str:
    """Why the cluster cannot come up here, and what to type; empty: it can."""
    if site.slurm and (reason := why_not_version(site.slurm)):
        return reason
    if missing := missing_packages(site):
        return f"not installed: {', '.join(missing)}\nhint: {INSTALL} {' '.join(missing)}"
    if site.preempt_type == "qos" and not site.accounting:
        return "preemption by QOS needs the accounting, which knows the QOS"
    if site.proctrack == "cgroup" and os.geteuid() != 0:
        return "proctrack/cgroup needs root\nhint: use linuxproc, or run the command with sudo"
    if site.shared and os.geteuid() != 0:
        return "nodes with mounts of their own need root\nhint: run the command with sudo"
    return ""


def write_files(site: Site, folder: Path) -> Ports:
    """The cluster's folder with all its configuration; the ports are those that were free.

    Raises:
        TimeoutError: the root of another version of Slurm could not be mounted.
    """
    for name in ("munge", "state", "run", "log", "dev", *(f"spool/{node}" for node in NODES)):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "munge").chmod(0o755)  # munged wants its socket reachable
    slurmctld, slurmdbd, *nodes = _free_ports(2 + len(NODES))
    ports = Ports(slurmctld, slurmdbd, dict(zip(NODES, nodes, strict=True)))
    for index in range(GPUS_PER_NODE):
        (folder / "dev" / f"nvidia{index}").symlink_to(os.devnull)
    if site.slurm:
        hold(site.slurm, folder, _environment(folder))
    write_clients(folder, {name: _required_path(name) for name in CLIENTS} if site.slurm is None else {})
    version = _version(inside(folder, ["slurmctld", "-V"]), _environment(folder))
    (folder / "slurm.conf").write_text(slurm_conf(site, ports, folder, version))
    (folder / "gres.conf").write_text(gres_conf(folder))
    (folder / "cgroup.conf").write_text(cgroup_conf())
    (folder / "slurmdbd.conf").write_text(slurmdbd_conf(ports, folder))
    (folder / "slurmdbd.conf").chmod(0o600)
    (folder / "munge" / "key").write_bytes(os.urandom(128))
    (folder / "munge" / "key").chmod(0o600)
    return ports


def start_all(site: Site, folder: Path, ports: Ports) -> None:
    """Start munged, the accounting, the controller and the nodes, in the order in which they need one another."""
    start_munge(folder)
    if site.accounting:
        _start_mariadb(folder)
        environment = {"MYSQL_UNIX_PORT": str(folder / "run/mariadb.sock"), "LD_LIBRARY_PATH": ROOTS_MARIADB}
        _start(folder, ["slurmdbd"], environment)
        wait_until(lambda: _is_listening(ports.slurmdbd), START_SECONDS, "slurmdbd")
    start_controller(folder)
    for node in NODES:
        start_node(site, folder, node)


def start_munge(folder: Path) -> None:
    place = folder / "munge"
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    _start(folder, ["munged", "--force", *(f"--{option}={place / name}" for option, name in files.items())])
    wait_until((place / "socket").exists, START_SECONDS, "munged")


def start_controller(folder: Path) -> None:
    _start(folder, ["slurmctld"])


def start_node(site: Site, folder: Path, node: str) -> None:
    seen = f"{site.shared}/{node}", f"{site.shared}/shared"
    own_view = ["unshare", "--mount", "sh", "-c", _SEE, "sh", *seen] if site.shared else []
    _start(folder, ["slurmd", "-N", node], {NODE_ENV: node}, own_view)


def _start_mariadb(folder: Path) -> None:
    data, user = folder / "mariadb", getpass.getuser()
    temporary = {"TMPDIR": str(folder / "run")}  # two installations in /tmp remove one another's temporary tables
    if not data.exists():
        _start(folder, ["mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={user}", "--skip-test-db",
                        "--auth-root-authentication-method=socket", f"--auth-root-socket-user={user}"],
               temporary)  # fmt: skip
    sock = folder / "run" / "mariadb.sock"
    _start(
        folder,
        ["setsid", "--fork", "mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={sock}",
         f"--user={user}", "--skip-networking", f"--pid-file={folder}/run/mariadb.pid", "--innodb-buffer-pool-size=32M",
         f"--log-error={folder}/log/mariadb.log"],
        temporary,
    )  # fmt: skip
    wait_until(lambda: _accepts(sock), START_SECONDS, "mariadbd")


def _start(
    folder: Path, command: list[str], environment: dict[str, str] | None = None, wrapper: Sequence[str] = ()
) -> None:
    """Start a daemon that puts itself into the background. `wrapper`: a command that runs the command after it.

    Raises:
        RuntimeError: it did not start, with what it said.
    """
    log = folder / "log" / f"{command[0]}.start"
    with log.open("wb") as output:  # a file: a daemon that keeps a pipe open would keep us waiting
        started = subprocess.run(
            inside(folder, [*wrapper, *command], folder),
            env=_environment(folder) | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            start_new_session=True,
            check=False,
        )
    if started.returncode:
        raise RuntimeError(f"{command[0]} did not start ({started.returncode}):\n{log.read_text(errors='replace')}")


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": f"{os.environ['PATH']}:{SBIN}",
        "HOME": str(Path.home()),
        "SLURM_CONF": str(folder / "slurm.conf"),
        CLUSTER_ENV: str(folder),
    }


def own_version() -> tuple[int, int]:
    """The version of this machine's own Slurm: year and month."""
    return _version([_required_path("slurmctld"), "-V"], os.environ)


def _version(command: list[str], environment: Mapping[str, str]) -> tuple[int, int]:
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    year, month = said.stdout.split()[-1].split(".")[:2]  # "slurm-wlm 22.05.8"
    return int(year), int(month)


def _path_of(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ['PATH']}:{SBIN}")


def _required_path(program: str) -> str:
    path = _path_of(program)
    assert path, f"{program} is not installed"  # `up` has asked for missing_packages before
    return path


def _free_ports(count: int) -> list[int]:
    with_port = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]  # all open at once: no port twice
    ports = [server.getsockname()[1] for server in with_port]
    for server in with_port:
        server.close()
    return ports


def _is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
        client.connect(str(path))
        return True
    return False
