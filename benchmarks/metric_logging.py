"""`make bench-logging`: how much time logging every step to MLflow adds to a training's step.

The server is healthy, takes half a second for each request, never answers, or does not exist. It has one CPU of this machine,
which the training may use too. Two ways to log are compared: regrow's journal and uploader, and HF's MLflowCallback as Axolotl
sets it up. All trainings run Axolotl's own module on the same toy config. The micro-batch is so small that a step takes 20 ms,
and every record is padded to the same length.

A training takes turns: for one second it logs, for the next it logs nothing and its uploader stands still. The mean step of a
block is compared with that of its neighbours. The uploader posts every three seconds, so each post has half as many steps as
usual. MLflowCallback's thread cannot be stopped, and falls behind. So its blocks are longer, each is compared with the block
before it, and the steps in which the thread catches up do not count. Two separate trainings are not compared: they differ by
more than logging costs, even if they do the same.

The ledger of records costs some microseconds a step, too little for this comparison. Its own code is timed instead.
"""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from dev_cluster.ownership import exit_on_signals
from ledger_cost import ledger_cost
from measure import machine, print_wide
from rich import box
from rich.table import Table
from tracking_server import PASSWORD, USER, TrackingServer, Way, free_port
from turns import TURNS_ENV, Turns
from world import REPO_ROOT, World, build_world

MOST_OVERHEAD = 0.01
STEP_SECONDS, MOST_LEDGER = 0.02, 0.005
"""The ledger's share of a step of this length, at most. With `regrow.audit`, there is no goal."""
SETTLING_SECONDS = 10.0
"""Time after the first step that does not count: the uploader imports MLflow. In a job it does so while the ranks import."""
BLOCK, LONG_BLOCK = 50, 400
"""Steps of a block: about a second; and of MLflowCallback's blocks. A machine's speed changes within seconds as much as within
minutes, so many short blocks give the best comparison."""
LONG_BLOCKS = 10
DELAYS = {"slow": 0.5, "hanging": None}
"""Seconds before a request is forwarded; None: it never is."""
MOST_SECONDS = 900
"""Seconds after which a training that has not begun counts as failed."""


@dataclass(frozen=True)
class Training:
    """One way to log, and the state of the server."""

    logger: str
    """`regrow` or `MLflowCallback`."""
    server: str

    @property
    def name(self) -> str:
        return f"{self.logger}, {self.server} server"

    @property
    def turn(self) -> list[tuple[str, int]]:
        """The states of one turn, each with its number of steps."""
        if self.logger == "regrow":
            return [("none", BLOCK), ("logging", BLOCK)]
        return [("none", LONG_BLOCK), ("logging", LONG_BLOCK), ("catching up", LONG_BLOCK)]

    def changes(self, uri: str) -> dict[str, Any]:
        """The changes of the config."""
        if self.logger == "regrow":
            return {"plugins": ["callbacks.plugin.RegrowPlugin", "quiet_logging.QuietPlugin"]}
        tracking = {"use_mlflow": True, "mlflow_tracking_uri": uri, "mlflow_experiment_name": "bench"}
        return {"plugins": ["quiet_logging.QuietPlugin"], "regrow": None, **tracking}


TRAININGS = [
    *(Training("regrow", server) for server in ("healthy", "slow", "hanging", "dead")),
    *(Training("MLflowCallback", server) for server in ("healthy", "slow", "dead")),
]


@dataclass(frozen=True)
class Outcome:
    """The result of one training."""

    without: float = 0.0
    logging: float = 0.0
    """Milliseconds a step, as in `without`."""
    ratios: tuple[float, ...] = ()
    """For each block that logs: its mean step divided by that of its neighbours."""
    failure: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=120, help="that log, in each training of ours")
    parser.add_argument("--only", default="", help="the ways that have this in their name")
    options = parser.parse_args()
    trainings = [training for training in TRAININGS if options.only in training.name]
    if not trainings:
        parser.error(f"--only {options.only}: none of {'; '.join(training.name for training in TRAININGS)}")
    folder = Path(tempfile.mkdtemp(prefix="regrow-"))
    ledger = {audit: ledger_cost(folder, audit=audit) / STEP_SECONDS for audit in (False, True)}
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "AXOLOTL_DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}
    server = TrackingServer(folder, environment)
    exit_on_signals()  # a signal then runs `finally`, which stops the server
    try:
        with on_one_cpu():
            server.start()
        bench = Bench(build_world(folder, environment), server, options.blocks)
        outcomes = {training: bench.run(training) for training in trainings}
    finally:
        server.kill()
        shutil.rmtree(folder)
    missed = show(outcomes) or ("goal missed: the ledger" if ledger[False] > MOST_LEDGER else "")
    print(f"ledger: {ledger[False]:.2%} of a step of 20 ms; with the ids of the records, {ledger[True]:.2%}")
    print(", ".join(f"{name} {version(name)}" for name in ("axolotl", "transformers", "mlflow", "torch")))
    print(f"{machine()}\n{missed or 'all goals reached'}")
    return int(bool(missed))


class Bench:
    """Runs the trainings of one world with one server."""

    def __init__(self, world: World, server: TrackingServer, blocks: int) -> None:
        self._world, self._blocks = world, blocks
        self._way = Way(server.port)

    def run(self, training: Training) -> Outcome:
        """Train once, in a separate folder, until all turns are taken."""
        print(f"{training.name} ...", file=sys.stderr, flush=True)
        folder = self._world.folder / training.name.replace(" ", "-")
        folder.mkdir()
        self._way.delay = DELAYS.get(training.server, 0.0)
        uri = f"http://127.0.0.1:{free_port()}" if training.server == "dead" else self._way.uri
        off = {"save_strategy": "no", "eval_strategy": "no", "eval_steps": None, "save_steps": None,
               "pad_to_sequence_len": True, "sequence_len": 128}  # fmt: skip
        config = self._world.config_by_hand(folder, max_steps=1_000_000, **off, **training.changes(uri))
        command, turns = [sys.executable, "-m", "axolotl.cli.train", str(config)], Turns(folder)
        started = time.monotonic()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=REPO_ROOT, env=self._environment(uri, folder), stdout=log, stderr=log
            )
        try:
            while not turns.times():
                if process.poll() is not None or time.monotonic() - started > MOST_SECONDS:
                    last = (folder / "log").read_text(errors="replace").strip().splitlines()[-1]
                    return Outcome(failure=f"{last[:70]}, after {time.monotonic() - started:.0f} s")
                time.sleep(0.2)
            return self._take_turns(training, turns, process)
        finally:
            for each in (*uploaders(process), process):
                each.kill()
            process.wait()

    def _take_turns(self, training: Training, turns: Turns, process: subprocess.Popen[bytes]) -> Outcome:
        time.sleep(SETTLING_SECONDS)
        times = self._blocks if training.logger == "regrow" else min(self._blocks, LONG_BLOCKS)
        for what, steps in (*training.turn * times, training.turn[0]):
            for uploader in uploaders(process):
                uploader.send_signal(signal.SIGSTOP if what == "none" else signal.SIGCONT)
            turns.take(what, steps)
        return Outcome(turns.milliseconds("none"), turns.milliseconds("logging"), tuple(turns.ratios("logging")))

    def _environment(self, uri: str, folder: Path) -> dict[str, str]:
        return self._world.environment | {
            "PYTHONPATH": f"{REPO_ROOT}:{REPO_ROOT / 'tests' / 'train'}",
            "MLFLOW_TRACKING_URI": uri,
            "MLFLOW_TRACKING_USERNAME": USER,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
            TURNS_ENV: str(folder),
        }


@contextmanager
def on_one_cpu() -> Iterator[None]:
    """Keep the processes that are started in this block on the last CPU: the server's work is not part of the training, and
    usually the server runs on another machine."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cpus)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)


def uploaders(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The process that posts regrow's journal; empty with MLflowCallback, which posts in a thread."""
    if process.poll() is not None:
        return []
    children = psutil.Process(process.pid).children()
    return [child for child in children if "callbacks.shared.mlflow_sync" in child.cmdline()]


def show(outcomes: dict[Training, Outcome]) -> str:
    """Print the table, and return the missed goals; empty: none was missed."""
    title = "A step with and without logging (medians of blocks' means)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for header in ("", "ms without", "ms with", "ratio", "99 % interval", "blocks"):
        table.add_column(header, justify="right" if header else "left", no_wrap=True)
    missed = []
    for training, outcome in outcomes.items():
        if outcome.failure:
            table.add_row(training.name, "failed")
        else:
            ratio, (low, high) = statistics.median(outcome.ratios), interval(outcome.ratios)
            table.add_row(training.name, f"{outcome.without:.2f}", f"{outcome.logging:.2f}", f"{ratio:.3f}",
                          f"{low:.3f}-{high:.3f}", f"{len(outcome.ratios)} x {training.turn[1][1]} steps")  # fmt: skip
        if training.logger == "regrow" and (outcome.failure or ratio > 1 + MOST_OVERHEAD):
            missed.append(training.name)
    print_wide(table)
    for training, outcome in outcomes.items():
        if outcome.failure:
            print(f"{training.name}: {outcome.failure}")
    return f"goals missed: more than {MOST_OVERHEAD:.0%}: {'; '.join(missed)}" if missed else ""


def interval(ratios: tuple[float, ...]) -> tuple[float, float]:
    """The 99 % interval of the median (bootstrap)."""
    medians = np.median(np.random.default_rng(1).choice(ratios, (4000, len(ratios))), axis=1)
    low, high = np.quantile(medians, (0.005, 0.995))
    return float(low), float(high)


if __name__ == "__main__":
    sys.exit(main())
