"""What is done to a run of the chaos table: preemptions, signals, kills, time limits."""

import getpass
import signal
from collections.abc import Callable
from pathlib import Path

from dev_cluster.processes import daemons, kill, tasks
from disturbed_run import Run

from callbacks.shared.journal import read_journal
from jobs.history.time_spent import attempt_times, total

Act = Callable[[Run], None]
EXEMPT_SECONDS = 60


def in_turn(*acts: Act) -> Act:
    def act(run: Run) -> None:
        for one in acts:
            one(run)

    return act


def preempted_at(gate: str) -> Act:
    """Take the nodes away while the training waits at a gate."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        run.preempt(gate)

    return act


def preempted_early(run: Run) -> None:
    """Take the nodes away as soon as Slurm says RUNNING: no Python has started yet."""
    run.wait_for_state("RUNNING")
    run.cluster.preempt()
    run.wait(lambda: restarts(run) > 0 or len(set(train_jobs(run))) > 1, "a second start")


def preempted_twice_before_a_step(run: Run) -> None:
    preempted_at("model@0")(run)
    run.add_gate("imports@0")
    preempted_at("imports@0")(run)


def preempted_after_the_end(run: Run) -> None:
    """Take the nodes away when all is trained and saved, and only Axolotl's own end remains. The job must simply end."""
    run.wait_for_gate("after@24")
    run.cluster.preempt()
    run.wait_for_new("stop_requested", 0)
    run.open_gate("after@24")


def suspended_at(gate: str, seconds: float) -> Act:
    """Let Slurm suspend the job while the training waits at a gate, and wake it up later."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        run.cluster.preempt(seconds)
        run.wait_for_state("SUSPENDED")
        run.wait_for_state("RUNNING")
        run.open_gate(gate)
        run.wait_for_end()
        spent = total(attempt_times(read_journal(run.paths.journal)), "train")
        assert spent.suspended > seconds / 2, f"only {spent.suspended:.0f} s count as suspended"

    return act


def exempt_at(gate: str) -> Act:
    """Preempt a job that is exempt for its first minute: it must work on until then."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        run.preempt(gate)
        (started,) = run.entries("stage_started", stage="train")
        (stop,) = run.entries("stop_requested", stage="train")
        assert stop.time - started.time > EXEMPT_SECONDS - 10, f"stopped after {stop.time - started.time:.0f} s"

    return act


def preempted_without_requeue_at(gate: str) -> Act:
    """Set Requeue=0 for the training's job, as a site's submit filter may, and preempt it."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        done = run.cluster.run("scontrol", "update", f"JobId={run.job_id('train')}", "Requeue=0")
        assert done.returncode == 0, done.stderr
        run.preempt(gate)

    return act


def without_more_jobs(act_inside: Act) -> Act:
    """Set the user's MaxSubmitJobs to the number of jobs that there are, and one for the job that takes the nodes away."""

    def set_most(run: Run, most: int) -> None:
        done = run.cluster.run(
            "sacctmgr", "--immediate", "modify", "user", getpass.getuser(), "set", f"MaxSubmitJobs={most}"
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def act(run: Run) -> None:
        run.wait_for_attempts(1)
        run.wait(lambda: run.state(run.job_id("prepare")) == "COMPLETED", "the end of the job before")
        set_most(run, len(run.cluster.run("squeue", "--noheader", "--format=%i").stdout.split()) + 1)
        try:
            act_inside(run)
        finally:
            set_most(run, -1)

    return act


def shards_were_saved(run: Run) -> None:
    """Assert that DeepSpeed trained, and not DDP instead."""
    found = list(run.paths.checkpoints.glob("checkpoint-*/global_step*/*optim_states.pt"))
    assert found, "no global_step folder in any checkpoint"


def signalled_at(gate: str) -> Act:
    """Type `scancel --signal`, as a user does who wants the job to save and come back."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        known, left = (len(run.entries(event, stage="train")) for event in ("stop_requested", "left"))
        run.cluster.run("scancel", "--signal=USR2", run.job_id("train"))
        run.wait_for_new("stop_requested", known)
        run.open_gate(gate)
        run.wait_for_new("left", left)

    return act


def cancelled_at(gate: str) -> Act:
    """Type scancel. The run must stay cancelled until `regrow resume` is typed."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        known = len(run.entries("stop_requested", stage="train"))
        job_id = run.job_id("train")
        run.cluster.run("scancel", job_id)
        run.wait_for_new("stop_requested", known)
        run.open_gate(gate)
        run.wait_for_end()
        assert run.state(job_id) == "CANCELLED", f"train is {run.state(job_id)}"
        assert restarts(run) == 0, "a cancelled job was brought back"
        assert run.state(run.job_id("evaluate")) == "CANCELLED", "evaluate was not cancelled with it"
        run.resume()

    return act


def killed_at(gate: str, words: str) -> Act:
    """Type `kill -9` for a process while the training waits at a gate."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        ranks = run.processes("callbacks.rank train")
        run.kill(words)
        run.wait(lambda: not any(map(is_alive, ranks)), "the ranks to die")  # they must not pass the open gate
        run.open_gate(gate)

    return act


def is_alive(pid: int) -> bool:
    """Whether the process runs. A process that has ended but still has an entry in /proc has an empty command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def node_of_training(run: Run) -> str:
    return run.cluster.run("squeue", "--noheader", f"--jobs={run.job_id('train')}", "--format=%N").stdout.strip()


def frozen_at(gate: str) -> Act:
    """Freeze the node, as a virtual machine that is paused. It wakes up when its successor has begun to train."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        node, folder = node_of_training(run), run.cluster.folder
        frozen = [*daemons(folder, node), *tasks(folder, node)]
        kill(frozen, signal.SIGSTOP)
        try:
            run.open_gate(gate)
            run.wait_for_new("training_began", 1)
        finally:
            kill(frozen, signal.SIGCONT)

    return act


def node_killed_at(gate: str) -> Act:
    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        node = node_of_training(run)
        run.cluster.kill_node(node)
        run.open_gate(gate)
        run.wait_for_attempts(2)
        run.cluster.start_node(node)

    return act


def evaluate_preempted(run: Run) -> None:
    """Preempt the evaluate stage, which must come back too."""
    run.wait_for_attempts(1, "evaluate")
    known = len(run.entries("left", stage="evaluate"))
    run.cluster.preempt()
    run.wait_for_new("left", known, stage="evaluate")


def prepare_preempted(run: Run) -> None:
    run.wait_for_gate("tokenise@0")
    run.cluster.preempt()
    run.wait_for_new("left", 0, stage="prepare")
    run.open_gate("tokenise@0")


def restarts(run: Run) -> int:
    words = run.cluster.run("scontrol", "show", "job", "--oneliner", run.job_id("train")).stdout.split()
    return int(next(word.partition("=")[2] for word in words if word.startswith("Restarts=")))


def train_jobs(run: Run) -> list[str]:
    return [entry.job_id for entry in run.entries("submitted") if entry.stage == "train"]
