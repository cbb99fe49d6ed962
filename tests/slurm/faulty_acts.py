"""What is done to a run whose files lie on a failing file system."""

import time
from random import Random

from acts import Act, in_turn
from disturbed_run import Run
from faulty_fs import Faults

MOST_WRITES = 60
"""About as many as a stop needs."""


def with_faults(faults: Faults, act: Act) -> Act:
    """Change the file system on all nodes for the rest of the run."""

    def acting(run: Run) -> None:
        assert run.shared
        run.shared.set(faults)
        act(run)

    return acting


def server_away_in_training(gate: str, seconds: float) -> Act:
    """Let every call on the file system wait, while the training goes on."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        _away(run, gate, seconds)

    return act


def server_away_at_a_stop(gate: str, seconds: float) -> Act:
    """Let every call on the file system wait, from the announcement of a stop on. It may not end in its grace time."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        attempts, stops = (len(run.entries(name, stage="train")) for name in ("stage_started", "stop_requested"))
        run.cluster.preempt()
        run.wait_for_new("stop_requested", stops)
        _away(run, gate, seconds)
        _goes_on(run, attempts)

    return act


def _away(run: Run, gate: str, seconds: float) -> None:
    assert run.shared
    run.shared.set(Faults(stopped=True))
    try:
        run.open_gate(gate)
        time.sleep(seconds)
    finally:
        run.shared.set(Faults())


def writes_fail_at(gates: tuple[str, ...], error: str, seed: int) -> Act:
    """Preempt at each gate, and let one, a few or all writes fail from a random one on, until the attempt has ended."""
    random = Random(seed)

    def preempted_with_faults_at(gate: str) -> Act:
        faults = Faults(writes=error, first=random.randint(1, MOST_WRITES), count=random.choice([1, 3, 10**9]))

        def act(run: Run) -> None:
            assert run.shared
            run.wait_for_gate(gate)
            attempts, stops = (len(run.entries(name, stage="train")) for name in ("stage_started", "stop_requested"))
            job_id = run.job_id("train")
            has_left = lambda: run.state(job_id) != "RUNNING"  # noqa: E731
            run.shared.set(faults)
            try:
                run.cluster.preempt()
                run.wait(lambda: len(run.entries("stop_requested", stage="train")) > stops or has_left(), "the stop")
                run.open_gate(gate)
                run.wait(has_left, "the attempt's end")
            finally:
                run.shared.set(Faults())
            _goes_on(run, attempts)

        return act

    return in_turn(*map(preempted_with_faults_at, gates))


def _goes_on(run: Run, attempts: int) -> None:
    """Wait for another attempt. If the run has ended instead, it has said why, and `regrow resume` must continue it."""
    active = {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED"}
    has_ended = lambda: run.state(run.job_id("train")) not in active  # noqa: E731
    goes_on = lambda: len(run.entries("stage_started", stage="train")) > attempts  # noqa: E731
    run.wait(lambda: goes_on() or has_ended(), "another attempt, or the end")
    if not goes_on() and not run.entries("stage_finished", stage="train"):
        run.resume()
        run.wait_for_new("stage_started", attempts)
