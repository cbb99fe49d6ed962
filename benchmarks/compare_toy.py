"""`make compare-toy`: the migration document's comparison, on a toy model: one training with negatives against two stages.

Both runs train as many optimizer steps, on the dev cluster, and both lose their node twice. Then the first steps of the new one
are trained again, and `regrow compare` prints the criteria.
"""

import argparse
import os
import subprocess
import sys
from itertools import chain, repeat
from math import inf
from pathlib import Path

from dev_cluster.cluster import DevCluster, temporary_cluster
from dev_cluster.ownership import exit_on_signals
from dev_cluster.processes import wait_until
from dev_cluster.site import Site
from measure import machine
from world import REGROW

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import read_journal
from jobs.history.time_spent import attempt_times
from jobs.plan.of_run import known_costs
from jobs.plan.simulation import replay
from jobs.spec.paths import RunPaths
from jobs.spec.run_spec import RunSpec
from jobs.submit.demo import prepare_demo

STEPS, AGAIN = 600, 60
MOST_SECONDS = 3600
NEW, BASELINE = "one_stage", "two_stages"


class Toy:
    """The demo's records and model, with runs on a dev cluster."""

    def __init__(self, cluster: DevCluster, folder: Path) -> None:
        self.cluster = cluster
        self.config, demo = prepare_demo(folder / "demo", seed=1)
        self.positives = folder / "demo" / "seed1" / "hawks_train.json"
        self.runs = folder / "runs"
        self.places = [f"slurm_conf={cluster.conf}", f"slurm_bin={cluster.bin}", f"runs_root={self.runs}",
                       f"tracking_uri=sqlite:///{folder}/mlflow.db"]  # fmt: skip
        self.settings = [*demo, *self.places, "logging_steps=1", "train.cpus_per_task=2"]

    def regrow(self, *words: str, settings: list[str]) -> subprocess.CompletedProcess[str]:
        typed = [word for setting in settings for word in ("--set", setting)]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "AXOLOTL_DO_NOT_TRACK": "1"}
        return subprocess.run(
            [str(REGROW), *words, "--cluster", "dev", *typed],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def train(self, name: str, steps: int, *settings: str) -> None:
        """Submit a run, take its node away after a third and after two thirds of its steps, and wait for its report."""
        done = self.regrow("submit", str(self.config), "--name", name, settings=[*self.settings, *settings])
        assert done.returncode == 0, done.stdout + done.stderr
        for share in (1, 2):
            self._wait(name, lambda share=share: self._step(name) >= share * steps // 3, f"step {share * steps // 3}")
            left = len(self._entries(name, events.Left))
            self.cluster.preempt()
            self._wait(name, lambda left=left: len(self._entries(name, events.Left)) > left, "the attempt's end")
        self._wait(name, lambda: bool(self._entries(name, events.RunEnded)), "the report")
        (ended, *_) = self._entries(name, events.RunEnded)
        assert ended.status == "FINISHED", f"{self.runs / name}: {ended.status}"

    def planned(self, name: str) -> str:
        """What `regrow plan` expects of a run that loses its node when this one did, beside what it took."""
        spec = RunSpec.load(self.runs / name)
        trained = [each for each in attempt_times(read_journal(spec.paths.journal)) if each.stage == "train"]
        stops = {entry.attempt_name: entry.came for entry in self._entries(name, events.StopRequested)}
        losses = [(each.spent.queued, stops.get(each.name, inf) - each.started_at, inf) for each in trained]
        found = replay(known_costs(spec, spec, None).costs, chain(losses, repeat((0.0, inf, inf))).__next__)
        took = sum(each.spent.allocated for each in trained)
        return f"{name}: planned {found.allocated:.0f} s in {found.attempts} attempts, took {took:.0f} s"

    def _entries(self, name: str, kind: type) -> list:
        return only(read_journal(RunPaths(self.runs / name).journal), kind)

    def _step(self, name: str) -> int:
        return max((entry.step for entry in self._entries(name, events.Metrics) if "loss" in entry.values), default=0)

    def _wait(self, name: str, condition: object, what: str) -> None:
        def is_over() -> bool:
            assert not self._entries(name, events.StageFailed), f"{self.runs / name}: a stage has failed"
            return condition()  # type: ignore[operator]

        wait_until(is_over, MOST_SECONDS, f"{name}: {what}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS, help="optimizer steps of each run")
    steps = parser.parse_args().steps
    exit_on_signals()
    with temporary_cluster() as cluster:
        cluster.up(Site())
        toy = Toy(cluster, cluster.folder.parent / "toy")
        toy.train(NEW, steps, f"max_steps={steps}")
        stages = (
            f"[{{name: positives, max_steps: {steps // 3}, prepare: {{sources: [{{path: {toy.positives}}}]}}}}, "
            f"{{learning_rate: 0.002, max_steps: {steps - steps // 3}}}]"
        )
        toy.train(BASELINE, steps, f"regrow.train_stages={stages}")
        print(toy.planned(NEW))
        print(toy.regrow("verify", NEW, "--again", str(AGAIN), settings=toy.places).stdout)
        compared = toy.regrow("compare", NEW, BASELINE, "--ranks", "1", settings=toy.places)
    print(compared.stdout or compared.stderr)
    print(machine())
    return compared.returncode or int("not measured" in compared.stdout)


if __name__ == "__main__":
    sys.exit(main())
