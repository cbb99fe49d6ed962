"""`make bench-preempt`: compares trainings that lose their node on the dev cluster, all by the same schedule.

All run Axolotl's own training. They come back by `sbatch --requeue` and auto-resume; by Transformers' checkpoint at SIGTERM and a
script that requeues; by submitit's requeue; and by regrow. The schedule says how many seconds after its first step each attempt
is preempted. Each way is compared with the same way undisturbed. A training that gets no stop signal goes on until the end of the
grace time. The training is long enough for every way to be hit by the whole schedule.
"""

import argparse
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version

import numpy as np
from dev_cluster.cluster import DevCluster, temporary_cluster
from dev_cluster.ownership import exit_on_signals
from dev_cluster.processes import wait_until
from dev_cluster.site import Site
from measure import machine, print_wide
from preemption_outcome import Outcome, outcome_of
from preemption_ways import PLAIN_REQUEUE, REGROW_WAY, SAVE_STEPS, STEPS, WAYS, Place, Started
from rich import box
from rich.table import Table
from step_log import logged_attempts
from world import World, build_world

SEED, PREEMPTIONS, BETWEEN = 7, 3, (6.0, 16.0)
"""The schedule: the number of preemptions, and the range of seconds after the attempt's first step for each of them."""
GOAL_SECONDS_OVER_FLOOR = 2.0
ACTIVE = {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED", "SIGNALING"}
ASK_AGAIN = 5
"""For how many seconds a job must be over before it counts as ended."""
MOST_SECONDS = 600
"""Seconds after which a training that has not ended is given up."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    schedule = np.random.default_rng(SEED).uniform(*BETWEEN, PREEMPTIONS).round(1).tolist()
    exit_on_signals()
    print(f"each attempt is preempted so many seconds after its first step: {schedule}")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "AXOLOTL_DO_NOT_TRACK": "1"}
    with temporary_cluster() as cluster:
        cluster.up(Site())
        world = build_world(cluster.folder.parent / "world", environment)
        calm, disturbed = take_turns(world, cluster, schedule, repeats)
    missed = show(calm, disturbed, repeats)
    print(", ".join(f"{name} {version(name)}" for name in ("axolotl", "transformers", "submitit", "torch")))
    print(f"{machine()}\n{missed or 'all goals reached'}")
    return int(bool(missed))


def take_turns(
    world: World, cluster: DevCluster, schedule: Sequence[float], repeats: int
) -> tuple[dict[str, Outcome], dict[str, list[Outcome]]]:
    """Run each way undisturbed, then all ways in turn by the schedule."""
    calm = {}
    disturbed: dict[str, list[Outcome]] = {name: [] for name in WAYS}
    for round_number in range(repeats + 1):
        for name, start in WAYS.items():
            place = Place(world, cluster, world.folder / f"{len(calm)}-{round_number}-{name.split()[0]}")
            place.folder.mkdir()
            outcome = run(place, start, schedule if round_number else [])
            label = f"{round_number}/{repeats}" if round_number else "undisturbed"
            print(f"{label:<12} {name:<34} {outcome.wall:6.1f} s, {outcome.steps_lost} steps lost", file=sys.stderr)
            if round_number:
                disturbed[name].append(outcome)
            else:
                calm[name] = outcome
    return calm, disturbed


def run(place: Place, start: Callable[[Place], Started], schedule: Sequence[float]) -> Outcome:
    """Run one training from its submission to its end, preempted by the schedule."""
    started, until = start(place), time.monotonic() + MOST_SECONDS
    faults = []
    for number, seconds in enumerate(schedule):
        first = first_step(place, number, started.job_id, until)
        if first is None:
            break
        while time.time() < first + seconds and is_active(place, started.job_id):
            time.sleep(0.05)
        if not is_active(place, started.job_id):
            break
        place.cluster.preempt()
        faults.append(time.time())
    while is_active(place, started.job_id) and time.monotonic() < until:
        time.sleep(0.2)
    place.run("scancel", "--me")
    wait_until(lambda: not place.run("squeue", "--noheader"), 60, "the queue to be empty")
    return outcome_of(place, started, faults)


def first_step(place: Place, number: int, job_id: str, until: float) -> float | None:
    """When the attempt began its first step, seconds since the epoch; None: the attempt did not begin one."""
    while len(attempts := logged_attempts(place.folder / "steps")) <= number:
        if not is_active(place, job_id) or time.monotonic() > until:
            return None
        time.sleep(0.05)
    return attempts[number].times[0]


def is_active(place: Place, job_id: str) -> bool:
    """Whether the job may go on. A job that Slurm requeues looks ended for a moment."""
    question = ("squeue", "--noheader", "--me", "--states=all", f"--jobs={job_id}", "--format=%T")
    for _ in range(ASK_AGAIN):
        if place.run(*question).strip() in ACTIVE:
            return True
        time.sleep(1)
    return False


def show(calm: dict[str, Outcome], disturbed: dict[str, list[Outcome]], repeats: int) -> str:
    """Print the table, and return the missed goals; empty: none was missed."""
    title = (
        f"{STEPS} steps, a checkpoint every {SAVE_STEPS}, {PREEMPTIONS} preemptions (medians of {repeats} trainings)"
    )
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for header in (
        "",
        "completed",
        "steps lost",
        "wall s",
        "x undisturbed",
        "goodput",
        "came back",
        "fault to step s",
        "same weights",
    ):
        table.add_column(header, justify="right" if header else "left", no_wrap=True)
    for name, outcomes in disturbed.items():
        wall = statistics.median(each.wall for each in outcomes)
        same = sum(each.adapter == calm[name].adapter for each in outcomes)
        table.add_row(
            name,
            f"{sum(each.completed for each in outcomes)} of {repeats}",
            f"{statistics.median(each.steps_lost for each in outcomes):.0f}",
            f"{wall:.0f}",
            f"{wall / calm[name].wall:.2f}",
            f"{statistics.median(each.productive / each.allocated for each in outcomes):.0%}",
            f"{sum(len(each.back) for each in outcomes)} of {repeats * PREEMPTIONS}",
            f"{seconds_back(outcomes):.1f}",
            f"{same} of {repeats}",
        )
    print_wide(table)
    walls = ", ".join(f"{name} {outcome.wall:.0f} s" for name, outcome in calm.items())
    print(f"undisturbed: {walls}")
    floor = median_of(seconds for each in disturbed[PLAIN_REQUEUE] for seconds in each.idle)
    print(f"fault to step, the floor: {floor:.1f} s, from a kill of {PLAIN_REQUEUE} in full training to its next step")
    return missed_goals(disturbed[REGROW_WAY], calm[REGROW_WAY], floor)


def seconds_back(outcomes: Sequence[Outcome]) -> float:
    """Seconds from a preemption to the next attempt's first step, the median of all; NaN: no training came back."""
    return median_of(seconds for each in outcomes for seconds in each.back)


def median_of(values: Iterable[float]) -> float:
    """The median; NaN: there are no values."""
    return statistics.median([*values] or [math.nan])


def missed_goals(ours: Sequence[Outcome], calm: Outcome, floor: float) -> str:
    missed = []
    if not all(each.completed and not each.steps_lost and each.adapter == calm.adapter for each in ours):
        missed.append("regrow is to complete, to lose no step, and to end with the same weights")
    if not seconds_back(ours) <= floor + GOAL_SECONDS_OVER_FLOOR:  # also true for NaN
        missed.append(f"regrow is to be back {GOAL_SECONDS_OVER_FLOOR:.0f} s after the floor at most")
    return f"goals missed: {'; '.join(missed)}" if missed else ""


if __name__ == "__main__":
    sys.exit(main())
