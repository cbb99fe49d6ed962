"""`make bench-logging`: the step time of a training that logs every step to MLflow, beside one that logs nothing.

To a server that is healthy, one that takes half a second for each request, and one that is not there; regrow's journal and
uploader, and HF's MLflowCallback as Axolotl sets it up. All trainings are Axolotl's own module on the same toy config, with a
micro-batch so small that a step takes 20 ms. In each round every way trains once, and is compared with that round's training
without logging.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from measure import machine, print_wide
from rich import box
from rich.table import Table
from step_log import STEP_LOG_ENV, logged_attempts
from tracking_server import PASSWORD, USER, TrackingServer, Way, free_port
from world import REPO_ROOT, World, build_world

MOST_OVERHEAD = 0.01
SETTLING_SECONDS = 8.0
"""Steps at the beginning that do not count: the uploader imports MLflow meanwhile, which in a job it does beside the ranks'
own imports."""
SLOW_SECONDS = 0.5
STOPWATCH = "training_plugins.StepLogPlugin"
SERVERS = ("healthy", "slow", "dead")
MOST_SECONDS = 900
"""A training that takes longer is ended: it is told, not waited for."""


@dataclass(frozen=True)
class Training:
    """One way to train: who logs, and how the server is."""

    logger: str
    """`nobody`, `regrow` or `MLflowCallback`."""
    server: str = "none"

    @property
    def name(self) -> str:
        return "nothing is logged" if self.logger == "nobody" else f"{self.logger}, {self.server} server"

    def changes(self, uri: str) -> dict[str, Any]:
        """Of the config."""
        match self.logger:
            case "regrow":
                return {"plugins": ["callbacks.plugin.RegrowPlugin", STOPWATCH]}
            case "MLflowCallback":
                tracking = {"use_mlflow": True, "mlflow_tracking_uri": uri, "mlflow_experiment_name": "bench"}
                return {"plugins": [STOPWATCH], "regrow": None, **tracking}
            case _:
                return {"plugins": [STOPWATCH], "regrow": None}


TRAININGS = [
    Training("nobody"),
    *(Training(logger, server) for logger in ("regrow", "MLflowCallback") for server in SERVERS),
]


@dataclass(frozen=True)
class Outcome:
    """One training."""

    durations: list[float]
    """Of its steps, seconds; empty: it did not get through."""
    seconds: float
    """Of the whole process."""
    failure: str = ""

    @property
    def step(self) -> float:
        """The median, seconds."""
        return statistics.median(self.durations)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5, help="rounds")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="regrow-"))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "AXOLOTL_DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}
    server = TrackingServer(folder, environment)
    try:
        server.start()
        bench = Bench(build_world(folder, environment), server, options.steps)
        outcomes = bench.take_turns(options.repeats)
    finally:
        server.kill()
        shutil.rmtree(folder)
    missed = show(outcomes)
    print(", ".join(f"{name} {version(name)}" for name in ("axolotl", "transformers", "mlflow", "torch")))
    print(machine())
    return 1 if missed else 0


class Bench:
    """The trainings of one world beside one server."""

    def __init__(self, world: World, server: TrackingServer, steps: int) -> None:
        self._world, self._steps = world, steps
        self._way = Way(server.port)
        self._count = 0

    def take_turns(self, repeats: int) -> dict[Training, list[Outcome]]:
        outcomes: dict[Training, list[Outcome]] = {training: [] for training in TRAININGS}
        for repeat in range(repeats):
            for training, of_it in outcomes.items():
                if any(each.failure for each in of_it):
                    continue  # it would fail again, after minutes
                of_it.append(self.run(training))
                what = of_it[-1].failure or f"{1000 * of_it[-1].step:.2f} ms a step"
                print(f"{repeat + 1}/{repeats}  {training.name:<32} {what}", file=sys.stderr, flush=True)
        return outcomes

    def run(self, training: Training) -> Outcome:
        """Train once, in a folder of its own."""
        self._count += 1
        folder = self._world.folder / str(self._count)
        folder.mkdir()
        self._way.delay = SLOW_SECONDS if training.server == "slow" else 0.0
        uri = f"http://127.0.0.1:{free_port()}" if training.server == "dead" else self._way.uri
        off = {
            "max_steps": self._steps,
            "save_strategy": "no",
            "eval_strategy": "no",
            "eval_steps": None,
            "save_steps": None,
        }
        config = self._world.config_by_hand(folder, **off, **training.changes(uri))
        command, started = [sys.executable, "-m", "axolotl.cli.train", str(config)], time.monotonic()
        failure = self._train(command, self._environment(uri, folder), folder / "log")
        seconds, logged = time.monotonic() - started, logged_attempts(folder / "steps")
        if failure or not logged:
            return Outcome([], seconds, f"{failure or 'no step was logged'}, after {seconds:.0f} s")
        durations = logged[0].durations_after(SETTLING_SECONDS)
        return Outcome(
            durations, seconds, "" if durations else f"no step after {SETTLING_SECONDS:g} s: take more --steps"
        )

    def _train(self, command: list[str], environment: Mapping[str, str], log: Path) -> str:
        """Empty, or why it did not get through."""
        with log.open("wb") as output:
            try:
                done = subprocess.run(
                    command,
                    cwd=REPO_ROOT,
                    env=environment,
                    stdout=output,
                    stderr=output,
                    check=False,
                    timeout=MOST_SECONDS,
                )
            except subprocess.TimeoutExpired:
                return "it was ended"
        lines = log.read_text(errors="replace").strip().splitlines()
        return f"{lines[-1][:70]} (exit code {done.returncode})" if done.returncode and lines else ""

    def _environment(self, uri: str, folder: Path) -> dict[str, str]:
        return self._world.environment | {
            "PYTHONPATH": f"{REPO_ROOT}:{REPO_ROOT / 'benchmarks'}",
            "MLFLOW_TRACKING_URI": uri,
            "MLFLOW_TRACKING_USERNAME": USER,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
            STEP_LOG_ENV: str(folder / "steps"),
        }


def show(outcomes: dict[Training, list[Outcome]]) -> bool:
    """Print the table; whether one of ours takes more than it may."""
    rounds = max(map(len, outcomes.values()))
    table = Table(title=f"A training's steps (medians of {rounds} rounds)", title_justify="left", box=box.SIMPLE_HEAD)
    for header in ("", "ms a step", "x nothing", "min-max", "whole s"):
        table.add_column(header, justify="right" if header else "left", no_wrap=True)
    without, missed = outcomes[TRAININGS[0]], False
    if any(each.failure for each in without):
        raise RuntimeError(f"{TRAININGS[0].name}: {without[-1].failure}")
    for training, of_it in outcomes.items():
        if any(each.failure for each in of_it):
            table.add_row(training.name, "failed")
            missed |= training.logger == "regrow"
            continue
        ratios = [each.step / beside.step for each, beside in zip(of_it, without, strict=True)]
        missed |= training.logger == "regrow" and statistics.median(ratios) > 1 + MOST_OVERHEAD
        table.add_row(training.name, f"{1000 * statistics.median(each.step for each in of_it):.2f}",
                      f"{statistics.median(ratios):.3f}", f"{min(ratios):.3f}-{max(ratios):.3f}",
                      f"{statistics.median(each.seconds for each in of_it):.0f}")  # fmt: skip
    print_wide(table)
    for training, of_it in outcomes.items():
        for failure in filter(None, (each.failure for each in of_it)):
            print(f"{training.name}: {failure}")
    if missed:
        print(f"missed: at most {MOST_OVERHEAD:.0%} more than without logging")
    return missed


if __name__ == "__main__":
    sys.exit(main())
