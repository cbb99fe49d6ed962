"""`make bench-submit`: times four dependent jobs, a 100-task array and `--help` by regrow, its peers and the floor; and `status`.

Each way is one process, measured from Enter to its exit. All submit to a dev cluster whose partitions are down, so that no job
runs. After each measurement the queue must hold exactly the expected jobs, and is emptied.
"""

import argparse
import platform
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version

from dev_cluster.cluster import temporary_cluster
from dev_cluster.ownership import exit_on_signals
from dev_cluster.processes import wait_until
from dev_cluster.site import PREEMPTABLE, Site
from measure import Results, Way, machine, median_seconds, print_table, take_turns
from peers import python_of, version_in
from submit_ways import (
    ARRAY_TASKS,
    BARE_PYTHON,
    CHAIN_JOBS,
    FLOOR,
    OUR_ARRAY,
    OUR_HELP,
    PARTITION,
    UNCHECKED,
    Bench,
    Job,
    Submission,
    arrays,
    chains,
    helps,
    our_submit,
    program,
    to_cluster,
)

from jobs.submit.demo import prepare_demo

MOST_CHAIN_SECONDS, MOST_HELP_SECONDS = 0.40, 0.25
DISTRIBUTIONS = {"submitit": "submitit", "simple_slurm": "simple-slurm", "nemo_run": "nemo-run", "torchx": "torchx",
                 "hydra": "hydra-core"}  # fmt: skip
OUR_STATUS, SQUEUE, SACCT = "regrow status", "squeue", "sacct"
LISTED = "PENDING"


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

    Its partitions are down. On drained nodes, `sbatch --test-only`, which the check runs, would refuse jobs that sbatch accepts.
    """
    with temporary_cluster() as cluster:
        folder = cluster.folder.parent
        cluster.up(Site())
        bench = Bench(folder, cluster, *prepare_demo(folder / "demo", seed=1), folder / "demo" / "seed1")
        for partition in (PARTITION, "gpu", PREEMPTABLE):
            bench.answer("scontrol", "update", f"PartitionName={partition}", "State=DOWN")
        yield bench


def show_all(bench: Bench, repeats: int) -> list[str]:
    """Measure and print everything, and return the missed goals."""
    chain = submitted(bench, chains(bench), repeats)
    print_table(f"{CHAIN_JOBS} dependent jobs queued", chain, (FLOOR, UNCHECKED))
    array = submitted(bench, arrays(bench), repeats)
    print_table(f"Array of {ARRAY_TASKS} tasks queued; TorchX has none", array, (FLOOR, OUR_ARRAY))
    helped = take_turns(helps(bench), repeats, require_help)
    print_table("--help", helped, (BARE_PYTHON, OUR_HELP))
    print(f"{status_text(looked_up(bench, repeats))}\n\n{machine()}\n{versions(bench)}\n")
    return missed_goals(chain, helped)


def submitted(bench: Bench, submissions: Sequence[Submission], repeats: int) -> Results:
    """The measurements of each way; RuntimeError if one has not queued the expected jobs."""
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


def require_help(way: Way) -> None:
    if way.name != BARE_PYTHON and "help" not in (way.folder / "stdout").read_text(encoding="utf-8"):
        raise RuntimeError(f"{way.name} prints no help")


def looked_up(bench: Bench, repeats: int) -> Results:
    """The measurements of `regrow status` for one run, and of Slurm's own commands for the run's jobs."""
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
    """The medians in one line, milliseconds."""
    repeats = min(map(len, results.values()))
    shown = (f"{name} {1000 * median_seconds(results, name):.0f} ms" for name in results)
    return f"Status of one run: {', '.join(shown)} (medians of {repeats})"


def versions(bench: Bench) -> str:
    """The versions of everything that was measured."""
    ours = [f"regrow {version('regrow')}", f"Python {platform.python_version()}"]
    theirs = [f"{name} {version_in(peer, name)}" for peer, name in DISTRIBUTIONS.items()]
    installed = [f"{name} {version(name)}" for name in ("axolotl", "mlflow")]
    return ", ".join([*ours, *theirs, *installed, bench.answer("sbatch", "--version").strip()])


def missed_goals(chain: Results, helped: Results) -> list[str]:
    """The promises that do not hold."""
    goals = {
        f"{CHAIN_JOBS} jobs queued": (median_seconds(chain, UNCHECKED), MOST_CHAIN_SECONDS),
        "regrow --help": (median_seconds(helped, OUR_HELP), MOST_HELP_SECONDS),
    }
    return [f"{what} in {took:.3f} s, not {most:.2f}" for what, (took, most) in goals.items() if took > most]


if __name__ == "__main__":
    sys.exit(main())
