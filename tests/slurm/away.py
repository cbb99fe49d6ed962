"""What is done to Slurm's controller while a run needs it."""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

from acts import Act
from disturbed_run import Run

LONGEST_PEACE_SECONDS, LONGEST_OUTAGE_SECONDS = 15, 40


def preempted_while_the_controller_is_away(gate: str, seconds: float, number: signal.Signals) -> Act:
    """Kill or stop the controller as soon as a stop is announced. It comes back after so long, and after several questions."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        run.cluster.preempt()
        run.wait_for_new("stop_requested", 0)
        _without_controller(run, seconds, number, lambda: run.open_gate(gate))

    return act


def finished_while_the_controller_is_away(seconds: float, number: signal.Signals) -> Act:
    """Kill or stop the controller when all is trained, before the training's end."""

    def act(run: Run) -> None:
        run.wait_for_gate("after@24")
        run.cluster.signal_controller(number)
        try:
            run.open_gate("after@24")
            run.wait_for_new("stage_finished", 0)
            time.sleep(seconds)
        finally:
            _bring_back(run, number)

    return act


def typed_while_the_controller_is_away(gate: str, seconds: float, number: signal.Signals) -> Act:
    """Type `regrow cancel` and later `regrow resume` while the controller is killed or stopped. Both must wait for it."""

    def typed(run: Run, command: str) -> None:
        with ThreadPoolExecutor() as pool:
            run.cluster.signal_controller(number)
            try:
                typing = pool.submit(run.world.regrow, command, str(run.paths.run_dir), "--cluster", "dev")
                time.sleep(seconds)
                assert not typing.done(), typing.result()
            finally:
                _bring_back(run, number)
            done = typing.result()
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Slurm does not answer; the next try is in" in done.stderr

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        typed(run, "cancel")
        run.open_gate(gate)
        run.wait_for_end()
        typed(run, "resume")

    return act


def outages_at_random_moments(seed: int, outages: int) -> Act:
    """Kill or stop the controller several times, and preempt once between two outages, or just before one."""

    def act(run: Run) -> None:
        random = Random(seed)
        preempted_before = random.randrange(outages)
        for outage in range(outages):
            time.sleep(random.uniform(0, LONGEST_PEACE_SECONDS))
            if outage == preempted_before:
                run.cluster.preempt()
                time.sleep(random.uniform(0, 3))
            number = random.choice([signal.SIGKILL, signal.SIGSTOP])
            run.cluster.signal_controller(number)
            try:
                time.sleep(random.uniform(1, LONGEST_OUTAGE_SECONDS))
            finally:
                _bring_back(run, number)

    return act


def _without_controller(run: Run, seconds: float, number: signal.Signals, meanwhile: Callable[[], None]) -> None:
    known, began = len(run.entries("slurm_silent", stage="train")), time.monotonic()
    run.cluster.signal_controller(number)
    try:
        meanwhile()
        run.wait_for_new("slurm_silent", known + 1)
        time.sleep(max(0, began + seconds - time.monotonic()))
    finally:
        _bring_back(run, number)


def _bring_back(run: Run, number: signal.Signals) -> None:
    if number == signal.SIGKILL:
        run.cluster.start_controller()
    else:
        run.cluster.signal_controller(signal.SIGCONT)
