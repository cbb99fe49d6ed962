"""The ways of `make bench-submit`: each is one process, which submits to the benchmark's cluster or prints its help."""

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dev_cluster.cluster import DevCluster
from measure import Way
from peers import python_of

CHAIN_JOBS, ARRAY_TASKS = 4, 100
PARTITION = "cpu"
SCRIPTS = Path(__file__).parent / "submit_peers"
SBATCH = ("sbatch", "--parsable", f"--partition={PARTITION}", "--output=/dev/null", "--wrap=true")
SUBMITTING_PEERS = {"simple_slurm": "simple_slurm", "submitit": "submitit", "NeMo-Run": "nemo_run"}
FLOOR, UNCHECKED, CHECKED = "sbatch", "regrow --no-check", "regrow, cached check"
OUR_ARRAY = "regrow + report job"
BARE_PYTHON, OUR_HELP = "python -c pass", "regrow"


@dataclass(frozen=True)
class Job:
    """A job or an array in the queue."""

    tasks: int = 1
    after: str = ""
    """How the job depends on the job before it: afterok or afterany; empty: it does not."""


CHAIN = (Job(), *[Job(after="afterok")] * (CHAIN_JOBS - 1))
REPORT = Job(after="afterany")
"""regrow's last job, which runs however the other jobs end."""


@dataclass(frozen=True)
class Submission:
    """A way to submit, and the jobs that must then be in the queue."""

    way: Way
    expected: tuple[Job, ...]


@dataclass(frozen=True)
class Bench:
    """The cluster, and the folder in which everything is written."""

    folder: Path
    cluster: DevCluster
    config: Path
    settings: Sequence[str]
    """`--set` values that make the config use the synthetic records and the toy model."""
    demo: Path
    """The folder of the synthetic records and the toy model."""

    def folder_of(self, name: str) -> Path:
        return self.folder / "ways" / re.sub(r"\W+", "-", name)

    def way(self, name: str, *words: object) -> Way:
        """A way that runs this command. The check has its own cache, which the warm-up fills. Axolotl sends no usage report."""
        environment = {
            "SLURM_CONF": str(self.cluster.conf),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "NEMORUN_HOME": str(self.folder_of(name)),
            "AXOLOTL_DO_NOT_TRACK": "1",
            "HF_HUB_OFFLINE": "1",
        }
        return Way(name, [str(word) for word in words], self.folder_of(name), environment)

    def answer(self, *command: str) -> str:
        """The output of one of Slurm's commands.

        Raises:
            RuntimeError: the command failed.
        """
        done = self.cluster.run(*command)
        if done.returncode:
            raise RuntimeError(f"{shlex.join(command)}: {done.stderr.strip()}")
        return done.stdout


def chains(bench: Bench) -> list[Submission]:
    """The ways to submit four jobs, each after the one before it. TorchX has no dependencies."""
    following = f"job=$({shlex.join(SBATCH)} --dependency=afterok:$job)"
    raw = "\n".join([f"job=$({shlex.join(SBATCH)})", *[following] * (CHAIN_JOBS - 1)])
    torchx = (program("torchx", "torchx"), "run", "--scheduler", "slurm", "--scheduler_args", f"partition={PARTITION}")
    ours = (*CHAIN[:-1], REPORT)
    return [
        Submission(bench.way(FLOOR, "sh", "-ec", raw), CHAIN),
        *(Submission(way, CHAIN) for way in peer_ways(bench, "chain", CHAIN_JOBS)),
        Submission(bench.way("TorchX, one job", *torchx, "utils.sh", "true"), CHAIN[:1]),
        Submission(our_submit(bench, UNCHECKED, "--no-check"), ours),
        Submission(our_submit(bench, CHECKED), ours),
    ]


def arrays(bench: Bench) -> list[Submission]:
    """The ways to submit an array. TorchX has none, and regrow always queues a report job after it."""
    array = Job(ARRAY_TASKS)
    return [
        Submission(bench.way(FLOOR, *SBATCH, f"--array=0-{ARRAY_TASKS - 1}"), (array,)),
        *(Submission(way, (array,)) for way in peer_ways(bench, "array", ARRAY_TASKS)),
        Submission(our_evaluate(bench), (array, REPORT)),
    ]


def peer_ways(bench: Bench, kind: str, count: int) -> list[Way]:
    """The ways that the peers' scripts submit."""
    return [
        bench.way(name, python_of(peer), SCRIPTS / f"submit_{peer}.py", kind, bench.folder_of(name), PARTITION, count)
        for name, peer in SUBMITTING_PEERS.items()
    ]


def our_submit(bench: Bench, name: str, *flags: str) -> Way:
    """`regrow submit`, as a user types it."""
    options = ("--name", "chain", *to_cluster(bench, name), *typed(bench.settings), *flags)
    return bench.way(name, program("regrow"), "submit", bench.config, *options)


def our_evaluate(bench: Bench) -> Way:
    """`regrow evaluate` of one model: an array task for each shard of the records."""
    records, model = bench.demo / "hawks_val.json", bench.demo / "model"
    options = ("--data", records, "--shards", ARRAY_TASKS, "--config", bench.config, "--name", "array")
    return bench.way(OUR_ARRAY, program("regrow"), "evaluate", model, *options, *to_cluster(bench, OUR_ARRAY))


def to_cluster(bench: Bench, name: str) -> list[str]:
    """Options that choose the dev cluster, and the way's folder for everything that is written."""
    folder = bench.folder_of(name)
    values = {"slurm_conf": bench.cluster.conf, "runs_root": folder, "tracking_uri": f"sqlite:///{folder}/mlflow.db"}
    return ["--cluster", "dev", *typed([f"{key}={value}" for key, value in values.items()])]


def typed(settings: Sequence[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def program(name: str, peer: str = "") -> Path:
    """A program of a peer's virtual environment, or of ours."""
    return (python_of(peer) if peer else Path(sys.executable)).with_name(name)


def helps(bench: Bench) -> list[Way]:
    """The ways to print a help text, each in a new process."""
    return [
        bench.way(BARE_PYTHON, sys.executable, "-c", "pass"),
        bench.way(OUR_HELP, program("regrow"), "--help"),
        bench.way("TorchX", program("torchx", "torchx"), "--help"),
        bench.way("Hydra, an empty application", python_of("hydra"), SCRIPTS / "help_hydra.py", "--help"),
        bench.way("NeMo-Run", program("nemo", "nemo_run"), "--help"),
        bench.way("axolotl", program("axolotl"), "--help"),
        bench.way("mlflow", program("mlflow"), "--help"),
    ]
