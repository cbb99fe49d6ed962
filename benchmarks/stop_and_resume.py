"""`make stop-and-resume`: measures how fast a run stops and comes back, on the dev cluster.

Two times are measured in one run. The time from the signal to the end of the job's last process is compared with the micro-batch
and the save in between. The time from the start of the job's first process to the first new step is compared with the same resume
typed by hand.
"""

import argparse
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import astuple, dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import psutil
import yaml
from chaos import chaos_world
from dev_cluster.cluster import temporary_cluster
from dev_cluster.ownership import exit_on_signals
from dev_cluster.processes import tasks, wait_until
from dev_cluster.site import Site
from measure import machine
from scenario import Run, submit
from world import REPO_ROOT

from callbacks.shared import events
from callbacks.shared.journal import JOURNAL_ENV, Entry, read_journal
from callbacks.shared.manifest import checkpoints

ENDLESS = ("max_steps=100000", "eval_steps=100000", "save_steps=100000")
HOLD_SECONDS = 45
"""Seconds for which the nodes stay taken. In this time, the resume by hand runs alone on the machine."""


@dataclass(frozen=True)
class Times:
    """The times of one preemption, seconds."""

    exit: float
    micro_batch: float
    save: float
    resume: float
    by_hand: float


COLUMNS = ("signal to exit", "micro-batch", "save", "restart to step", "by hand")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    exit_on_signals()
    with temporary_cluster() as cluster:
        folder = cluster.folder.parent
        cluster.up(Site(accounting=False))
        run = Run("measured", chaos_world(folder / "world"), cluster, folder / "gates")
        submit(run, (), ENDLESS)
        rows = []
        for number in range(repeats):
            rows.append(measure(run, number, folder))
            shown = (f"{name} {value:.2f} s" for name, value in zip(COLUMNS, astuple(rows[-1]), strict=True))
            print(f"{number + 1}/{repeats}", *shown, sep="  ", flush=True)
        run.cancel()
    sys.exit(show(rows))


def measure(run: Run, number: int, folder: Path) -> Times:
    """Preempt attempt `number` once it trains; resume its checkpoint by hand while the nodes are taken; then let it resume."""
    losses = steps_of(run, number)
    pids = tasks(run.cluster.folder)
    run.cluster.preempt(HOLD_SECONDS)
    wait_until(lambda: not any(map(is_alive, pids)), 60, "the job's end")
    ended = time.time()
    (stopped,) = [e for e in attempt_entries(run, number) if isinstance(e, events.StopRequested)]
    saved = [e for e in attempt_entries(run, number) if isinstance(e, events.Saved)][-1]
    by_hand = resume_by_hand(run, folder / f"by_hand-{number}")
    first = steps_of(run, number + 1)[0]
    started = min(psutil.Process(pid).create_time() for pid in tasks(run.cluster.folder))
    micro_batch = statistics.median(b.time - a.time for a, b in pairwise(losses)) / 2  # a step has two
    return Times(ended - stopped.came, micro_batch, saved.seconds, first.time - started, by_hand)


def resume_by_hand(run: Run, folder: Path) -> float:
    """Seconds from the start of Axolotl's own module on the newest checkpoint, with the ranks' environment, to its first step."""
    folder.mkdir()
    config = yaml.safe_load(run.paths.axolotl_yml.read_text()) | {"output_dir": str(folder / "out")}
    (folder / "axolotl.yml").write_text(yaml.safe_dump(config, allow_unicode=True))
    checkpoint = checkpoints(run.paths.checkpoints)[0]
    command = [
        sys.executable,
        "-m",
        "axolotl.cli.train",
        str(folder / "axolotl.yml"),
        f"--resume_from_checkpoint={checkpoint}",
    ]
    environment = run.world.environment | {
        "REGROW_TEST_GATES": str(run.gates),
        "PYTHONPATH": f"{REPO_ROOT}:{REPO_ROOT}/tests/slurm",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "ACCELERATE_USE_CPU": "true",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        JOURNAL_ENV: str(folder / "journal" / "by-hand"),
    }
    started = time.time()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=REPO_ROOT, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: bool(losses_in(read_journal(folder / "journal"))), 120, f"a step by hand; see {folder}/log")
    finally:
        process.kill()
        process.wait()
    return float(losses_in(read_journal(folder / "journal"))[0]["time"]) - started


def steps_of(run: Run, number: int) -> list[Entry]:
    """The logged steps of an attempt, once there are more than ten."""
    run.wait(lambda: len(losses_in(attempt_entries(run, number))) > 10, f"steps of attempt {number}")
    return losses_in(attempt_entries(run, number))


def attempt_entries(run: Run, number: int) -> list[Entry]:
    return read_journal(run.paths.journal, of=f"train-{run.job_id('train')}-{number}")


def losses_in(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if isinstance(entry, events.Metrics) and "loss" in entry.values]


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def show(rows: list[Times]) -> int:
    """Print the medians and the two differences. The exit code: 1 if a difference is larger than promised."""
    medians = Times(*(statistics.median(column) for column in zip(*map(astuple, rows), strict=True)))
    extra_exit = statistics.median(row.exit - row.micro_batch - row.save for row in rows)
    extra_resume = statistics.median(row.resume - row.by_hand for row in rows)
    print(f"\nmedians of {len(rows)}")
    for name, value in zip(COLUMNS, astuple(medians), strict=True):
        print(f"{name:<16} {value:6.2f} s")
    print(f"beyond micro-batch and save: {extra_exit:.2f} s (promised: at most 1)")
    print(f"beyond the resume by hand:   {extra_resume:.2f} s (promised: at most 2)")
    print(f"Python {platform.python_version()}, torch {version('torch')}, axolotl {version('axolotl')}\n{machine()}")
    return int(extra_exit > 1 or extra_resume > 2)


if __name__ == "__main__":
    main()
