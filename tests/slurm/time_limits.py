"""What the time limit does to a run of the chaos table."""

import math
import time

from acts import Act
from disturbed_run import Run


def timed_out_at(gate: str) -> Act:
    """Shorten the time limit so that Slurm sends its warning soon. Slurm compares the limits twice a minute."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        known, left = (len(run.entries(event, stage="train")) for event in ("stop_requested", "left"))
        job_id, started = run.job_id("train"), run.entries("stage_started", stage="train")[-1].time
        set_limit(run, job_id, math.ceil((time.time() - started + 5) / 60) + 1)
        run.wait_for_new("stop_requested", known)
        run.open_gate(gate)
        run.wait_for_new("left", left)
        if run.state(job_id) in ("PENDING", "COMPLETING", "RUNNING"):
            set_limit(run, job_id, 120)

    return act


def expired_at(gate: str) -> Act:
    """Let the step in which the warning comes last longer than the time limit: Slurm kills the job before it can save."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        job_id, started = run.job_id("train"), run.entries("stage_started", stage="train")[-1].time
        set_limit(run, job_id, math.ceil((time.time() - started + 5) / 60) + 1)
        run.wait(lambda: run.state(job_id) in ("TIMEOUT", "FAILED"), "the time limit")
        run.open_gate(gate)

    return act


def timed_out_for_good_at(gate: str) -> Act:
    """Reach the time limit where the node cannot requeue: the run must end, say what to type, and lose nothing."""

    def act(run: Run) -> None:
        timed_out_at(gate)(run)
        run.wait_for_end()
        (end,) = run.entries("stage_failed", stage="train")
        assert "hint: regrow resume" in end.message, end
        run.resume()

    return act


def set_limit(run: Run, job_id: str, minutes: int) -> None:
    done = run.cluster.run("scontrol", "update", f"JobId={job_id}", f"TimeLimit={minutes}")
    assert done.returncode == 0, done.stderr
