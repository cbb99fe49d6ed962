"""`make bench-submit`: four dependent jobs, an array of 100 tasks and `--help`, by regrow, its peers and the floor; and `status`.

Each way is one process, from Enter to its exit. All submit to a dev cluster whose partitions are down, so that nothing runs;
after each go the queue must hold just what was asked for, and is emptied.
"""

import argparse
import platform
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from dev_cluster.cluster import DevCluster, temporary_cluster
from dev_cluster.ownership import exit_on_signals
from dev_cluster.processes import wait_until
from dev_cluster.site import PREEMPTABLE, Site
from measure import Results, Way, machine, median_seconds, print_table, take_turns
from peers import python_of, version_in

from jobs.cli.demo import prepare_demo

CHAIN_JOBS, ARRAY_TASKS = 4, 100
MOST_CHAIN_SECONDS, MOST_HELP_SECONDS = 0.40, 0.25
PARTITION = "cpu"
SCRIPTS = Path(__file__).parent / "submit_peers"
SBATCH = ("sbatch", "--parsable", f"--partition={PARTITION}", "--output=/dev/null", "--wrap=true")
SUBMITTING_PEERS = {"simple_slurm": "simple_slurm", "submitit": "submitit", "NeMo-Run": "nemo_run"}
DISTRIBUTIONS = {"submitit": "submitit", "simple_slurm": "simple-slurm", "nemo_run": "nemo-run", "torchx": "torchx",
                 "hydra": "hydra-core"}  # fmt: skip
FLOOR, UNCHECKED, CHECKED = "sbatch", "regrow --no-check", "regrow, cached check"
OUR_ARRAY = "regrow + report job"
BARE_PYTHON, OUR_HELP = "python -c pass", "regrow"
OUR_STATUS, SQUEUE, SACCT = "regrow status", "squeue", "sacct"
LISTED = "PENDING"


@dataclass(frozen=True)
class Job:
    """A job or an array in the queue."""

    tasks: int = 1
    after: str = ""
    """How it depends on the job before: afterok or afterany; empty: it does not."""


CHAIN = (Job(), *[Job(after="afterok")] * (CHAIN_JOBS - 1))
REPORT = Job(after="afterany")
"""regrow's last job runs however the others end."""


@dataclass(frozen=True)
class Submission:
    """A way to submit, and what must then be in the queue."""

    way: Way
    expected: tuple[Job, ...]


@dataclass(frozen=True)
class Bench:
    """The cluster, and where everything is written."""

    folder: Path
    cluster: DevCluster
    config: Path
    settings: Sequence[str]
    """They point the config to the synthetic records and the toy model."""
    demo: Path
    """Where those are."""

    def folder_of(self, name: str) -> Path:
        return self.folder / "ways" / re.sub(r"\W+", "-", name)

    def way(self, name: str, *words: object) -> Way:
        """A command. The check has a cache of its own, which its warm-up fills; Axolotl is kept from reporting its use."""
        environment = {
            "SLURM_CONF": str(self.cluster.conf),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "NEMORUN_HOME": str(self.folder_of(name)),
            "AXOLOTL_DO_NOT_TRACK": "1",
            "HF_HUB_OFFLINE": "1",
        }
        return Way(name, [str(word) for word in words], self.folder_of(name), environment)

    def answer(self, *command: str) -> str:
        """What one of Slurm's commands prints.

        Raises:
            RuntimeError: it failed.
        """
        done = self.cluster.run(*command)
        if done.returncode:
            raise RuntimeError(f"{shlex.join(command)}: {done.stderr.strip()}")
        return done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    exit_on_signals()
    for peer in DISTRIBUTIONS:
        python_of(peer)
    with held_cluster() as bench:
        missed = show_all(bench, repeats)
    print(f"goals missed: {'; '.join(missed)}" if missed else "all goals reached")
    return int(bool(missed))


@contextmanager
def held_cluster() -> Iterator[Bench]:
    """A dev cluster that starts no job.

    Its partitions are down. On drained nodes sbatch --test-only, which the check asks, would refuse what sbatch takes.
    """
    with temporary_cluster() as cluster:
        folder = cluster.folder.parent
        cluster.up(Site())
        bench = Bench(folder, cluster, *prepare_demo(folder / "demo", seed=1), folder / "demo" / "seed1")
        for partition in (PARTITION, "gpu", PREEMPTABLE):
            bench.answer("scontrol", "update", f"PartitionName={partition}", "State=DOWN")
        yield bench


def show_all(bench: Bench, repeats: int) -> list[str]:
    """Measure and print everything; the goals that were missed."""
    chain = submitted(bench, chains(bench), repeats)
    print_table(f"{CHAIN_JOBS} dependent jobs queued", chain, (FLOOR, UNCHECKED))
    array = submitted(bench, arrays(bench), repeats)
    print_table(f"Array of {ARRAY_TASKS} tasks queued; TorchX has none", array, (FLOOR, OUR_ARRAY))
    helped = take_turns(helps(bench), repeats, require_help)
    print_table("--help", helped, (BARE_PYTHON, OUR_HELP))
    print(f"{status_text(looked_up(bench, repeats))}\n\n{machine()}\n{versions(bench)}\n")
    return missed_goals(chain, helped)


def submitted(bench: Bench, submissions: Sequence[Submission], repeats: int) -> Results:
    """What each took; RuntimeError if one has not queued what it should."""
    expected = {submission.way.name: submission.expected for submission in submissions}

    def check(way: Way) -> None:
        found = queued(bench)
        empty_queue(bench)
        if found != expected[way.name]:
            raise RuntimeError(f"{way.name} has queued {found}, expected {expected[way.name]}")

    return take_turns([submission.way for submission in submissions], repeats, check, check_each=True)


def queued(bench: Bench) -> tuple[Job, ...]:
    """The pending jobs in the order of their ids."""
    lines = bench.answer("squeue", "--noheader", "--array", f"--states={LISTED}", "--format=%F %E").splitlines()
    tasks = Counter((int(job_id), dependency) for job_id, dependency in (line.split(maxsplit=1) for line in lines))
    found, previous = [], 0
    for (job_id, dependency), count in sorted(tasks.items()):
        after = re.sub(rf"^(\w+):{previous}(_\*)?\(unfulfilled\)$", r"\1", dependency)
        found.append(Job(count, "" if after == "(null)" else after))
        previous = job_id
    return tuple(found)


def empty_queue(bench: Bench) -> None:
    bench.answer("scancel", "--me")
    wait_until(lambda: not bench.answer("squeue", "--noheader"), 30, "the queue to be empty")


def chains(bench: Bench) -> list[Submission]:
    """Four jobs, each after the one before; TorchX has no dependencies."""
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
    """An array; TorchX has none, and regrow always queues a report job after it."""
    array = Job(ARRAY_TASKS)
    return [
        Submission(bench.way(FLOOR, *SBATCH, f"--array=0-{ARRAY_TASKS - 1}"), (array,)),
        *(Submission(way, (array,)) for way in peer_ways(bench, "array", ARRAY_TASKS)),
        Submission(our_evaluate(bench), (array, REPORT)),
    ]


def peer_ways(bench: Bench, kind: str, count: int) -> list[Way]:
    """By the peers' scripts."""
    return [
        bench.way(name, python_of(peer), SCRIPTS / f"submit_{peer}.py", kind, bench.folder_of(name), PARTITION, count)
        for name, peer in SUBMITTING_PEERS.items()
    ]


def our_submit(bench: Bench, name: str, *flags: str) -> Way:
    """`regrow submit`, as a user types it."""
    options = ("--name", "chain", *to_cluster(bench, name), *typed(bench.settings), *flags)
    return bench.way(name, program("regrow"), "submit", bench.config, *options)


def our_evaluate(bench: Bench) -> Way:
    """`regrow evaluate` of one model: a task for each share of the records."""
    records, model = bench.demo / "hawks_val.json", bench.demo / "model"
    options = ("--data", records, "--shards", ARRAY_TASKS, "--config", bench.config, "--name", "array")
    return bench.way(OUR_ARRAY, program("regrow"), "evaluate", model, *options, *to_cluster(bench, OUR_ARRAY))


def to_cluster(bench: Bench, name: str) -> list[str]:
    """Options: to the dev cluster, and everything written in the folder of a way."""
    folder = bench.folder_of(name)
    values = {"slurm_conf": bench.cluster.conf, "runs_root": folder, "tracking_uri": f"sqlite:///{folder}/mlflow.db"}
    return ["--cluster", "dev", *typed([f"{key}={value}" for key, value in values.items()])]


def typed(settings: Sequence[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def program(name: str, peer: str = "") -> Path:
    """A program of a peer's virtual environment, or of ours."""
    return (python_of(peer) if peer else Path(sys.executable)).with_name(name)


def helps(bench: Bench) -> list[Way]:
    """Each in a new process."""
    return [
        bench.way(BARE_PYTHON, sys.executable, "-c", "pass"),
        bench.way(OUR_HELP, program("regrow"), "--help"),
        bench.way("TorchX", program("torchx", "torchx"), "--help"),
        bench.way("Hydra, an empty application", python_of("hydra"), SCRIPTS / "help_hydra.py", "--help"),
        bench.way("NeMo-Run", program("nemo", "nemo_run"), "--help"),
        bench.way("axolotl", program("axolotl"), "--help"),
        bench.way("mlflow", program("mlflow"), "--help"),
    ]


def require_help(way: Way) -> None:
    if way.name != BARE_PYTHON and "help" not in (way.folder / "stdout").read_text(encoding="utf-8"):
        raise RuntimeError(f"{way.name} prints no help")


def looked_up(bench: Bench, repeats: int) -> Results:
    """`regrow status` of one run beside what Slurm itself takes to tell of its jobs."""
    run = our_submit(bench, "run to look up", "--no-check")
    subprocess.run(run.command, check=True, stdout=subprocess.DEVNULL)
    job_ids = ",".join(bench.answer("squeue", "--noheader", "--format=%i").split())
    sacct = [SACCT, "--noheader", "--allocations", f"--jobs={job_ids}", "--format=JobID,State"]
    wait_until(lambda: bench.answer(*sacct).count(LISTED) == CHAIN_JOBS, 30, "the accounting")
    ways = [
        bench.way(SQUEUE, SQUEUE, "--me", "--noheader", "--format=%i %T"),
        bench.way(SACCT, *sacct),
        bench.way(OUR_STATUS, program("regrow"), "status", "chain", *to_cluster(bench, run.name)),
    ]
    found = take_turns(ways, repeats, require_listed)
    empty_queue(bench)
    return found


def require_listed(way: Way) -> None:
    text = (way.folder / "stdout").read_text(encoding="utf-8")
    if text.count(LISTED) != CHAIN_JOBS:
        raise RuntimeError(f"{way.name} does not tell of all {CHAIN_JOBS} jobs:\n{text}")


def status_text(results: Results) -> str:
    """One line, in milliseconds."""
    repeats = min(map(len, results.values()))
    shown = (f"{name} {1000 * median_seconds(results, name):.0f} ms" for name in results)
    return f"Status of one run: {', '.join(shown)} (medians of {repeats})"


def versions(bench: Bench) -> str:
    """Of all that was measured, and which commit of ours."""
    ours = [f"regrow {version('regrow')}", f"Python {platform.python_version()}"]
    theirs = [f"{name} {version_in(peer, name)}" for peer, name in DISTRIBUTIONS.items()]
    installed = [f"{name} {version(name)}" for name in ("axolotl", "mlflow")]
    return ", ".join([*ours, *theirs, *installed, bench.answer("sbatch", "--version").strip()])


def missed_goals(chain: Results, helped: Results) -> list[str]:
    """What was promised and does not hold."""
    goals = {
        f"{CHAIN_JOBS} jobs queued": (median_seconds(chain, UNCHECKED), MOST_CHAIN_SECONDS),
        "regrow --help": (median_seconds(helped, OUR_HELP), MOST_HELP_SECONDS),
    }
    return [f"{what} in {took:.3f} s, not {most:.2f}" for what, (took, most) in goals.items() if took > most]


if __name__ == "__main__":
    sys.exit(main())
