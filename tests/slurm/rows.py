"""The chaos table: every scenario, with what is done to the run and what must hold."""

import math
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dev_cluster.ownership import last_will
from dev_cluster.site import Site
from scenario import SAVE_STEPS, Run, Scenario
from world import REPO_ROOT

Act = Callable[[Run], None]
USER = Site()
STEP_GATES = ("step@5", "step@12", "step@20")
THRICE = ("stage",) * 3
DROPOUT = ("lora_dropout=0.1", "lora_target_parameters=null")
WARNING_SECONDS = 110


def in_turn(*acts: Act) -> Act:
    def act(run: Run) -> None:
        for one in acts:
            one(run)

    return act


def preempted_at(gate: str) -> Act:
    """Take the nodes away while the training stands at a gate."""

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
    """All is trained and saved; only Axolotl's own end is still to come: the job must just end."""
    run.wait_for_gate("after@24")
    run.cluster.preempt()
    run.wait_for_new("stop_requested", 0)
    run.open_gate("after@24")


def timed_out_at(gate: str) -> Act:
    """Shorten the time limit so that Slurm warns soon; it looks twice a minute."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        known, left = (len(run.entries(event, stage="train")) for event in ("stop_requested", "left"))
        job_id, started = run.job_id("train"), run.entries("stage_started", stage="train")[-1]["time"]
        set_limit(run, job_id, math.ceil((time.time() - started + 5) / 60) + 1)
        run.wait_for_new("stop_requested", known)
        run.open_gate(gate)
        run.wait_for_new("left", left)
        if run.state(job_id) in ("PENDING", "COMPLETING", "RUNNING"):
            set_limit(run, job_id, 120)

    return act


def expired_at(gate: str) -> Act:
    """The step that the warning falls into outlasts the time limit: Slurm kills the job before it can save."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        job_id, started = run.job_id("train"), run.entries("stage_started", stage="train")[-1]["time"]
        set_limit(run, job_id, math.ceil((time.time() - started + 5) / 60) + 1)
        run.wait(lambda: run.state(job_id) in ("TIMEOUT", "FAILED"), "the time limit")
        run.open_gate(gate)

    return act


def timed_out_for_good_at(gate: str) -> Act:
    """Nobody on the node can requeue: the run must end, say what to type, and lose nothing."""

    def act(run: Run) -> None:
        timed_out_at(gate)(run)
        run.wait_for_end()
        (end,) = run.entries("stage_failed", stage="train")
        assert "type: regrow resume" in end["message"], end
        run.resume()

    return act


def shards_were_saved(run: Run) -> None:
    """DeepSpeed trained, and not DDP in its place."""
    found = list(run.paths.checkpoints.glob("checkpoint-*/global_step*/*optim_states.pt"))
    assert found, "no global_step folder in any checkpoint"


def set_limit(run: Run, job_id: str, minutes: int) -> None:
    done = run.cluster.run("scontrol", "update", f"JobId={job_id}", f"TimeLimit={minutes}")
    assert done.returncode == 0, done.stderr


def signalled_at(gate: str) -> Act:
    """`scancel --signal`, as somebody types it who wants the job to save and come back."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        known, left = (len(run.entries(event, stage="train")) for event in ("stop_requested", "left"))
        run.cluster.run("scancel", "--signal=USR2", run.job_id("train"))
        run.wait_for_new("stop_requested", known)
        run.open_gate(gate)
        run.wait_for_new("left", left)

    return act


def cancelled_at(gate: str) -> Act:
    """scancel; the run must stay so, until `regrow resume` is typed."""

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
    """kill -9 of a process while the training stands at a gate."""

    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        ranks = run.processes("callbacks.rank train")
        run.kill(words)
        run.wait(lambda: not any(map(is_alive, ranks)), "the ranks to die")  # they must not go on through the open gate
        run.open_gate(gate)

    return act


def is_alive(pid: int) -> bool:
    """A process that has died, but was not buried yet, has no command line any more."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def node_killed_at(gate: str) -> Act:
    def act(run: Run) -> None:
        run.wait_for_gate(gate)
        node = run.cluster.run("squeue", "--noheader", f"--jobs={run.job_id('train')}", "--format=%N").stdout.strip()
        run.cluster.kill_node(node)
        run.open_gate(gate)
        run.wait_for_attempts(2)
        run.cluster.start_node(node)

    return act


def torn_after_preemption(tear: Callable[[Path], None]) -> Act:
    """The checkpoint of a stop is damaged while the job waits: the one before it must be taken."""

    def act(run: Run) -> None:
        preempted_at("step@12")(run)
        checkpoint = run.paths.checkpoints / "checkpoint-13"
        assert checkpoint.exists(), f"there are {sorted(p.name for p in run.paths.checkpoints.iterdir())}"
        tear(checkpoint)
        run.wait_for_attempts(2)
        run.wait_for_new("training_began", 1)
        assert [e["checkpoint"] for e in run.entries("checkpoint_torn")] == ["checkpoint-13"], "it was not set aside"

    return act


def without(name: str) -> Callable[[Path], None]:
    return lambda checkpoint: (checkpoint / name).unlink()


def cut_short(checkpoint: Path) -> None:
    path = checkpoint / "adapter_model.safetensors"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


@contextmanager
def small_disk(run: Run) -> Iterator[None]:
    """The run's checkpoints are on a disk of 64 MiB; what it holds at the end is kept, and no mount stays behind."""
    checkpoints, kept = run.paths.checkpoints, run.paths.run_dir / "kept"
    unmount = ["umount", "--lazy", str(checkpoints)]  # lazy: a row that was broken off has jobs that still write there
    with last_will(unmount):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs", str(checkpoints)], check=True)
        try:
            yield
        finally:
            try:
                shutil.copytree(checkpoints, kept)
            finally:
                subprocess.run(unmount, check=True)
    checkpoints.rmdir()
    kept.rename(checkpoints)


def disk_full(run: Run) -> None:
    """The checkpoints' disk fills up after the first save: the run must end, say why, and leave what is whole."""
    run.wait_for_gate("step@12")
    ballast = run.paths.checkpoints / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65536)
        except OSError:
            pass
    run.open_gate("step@12")
    run.wait_for_end()
    (failed,) = run.entries("save_failed")
    assert failed["renamed"].startswith("torn-16-"), failed
    (end,) = run.entries("stage_failed", stage="train")
    assert "could not be written" in end["message"] and "make room" in end["message"], end
    assert [e["step"] for e in run.entries("saved")] == [SAVE_STEPS]
    ballast.unlink()
    shutil.rmtree(run.paths.checkpoints / failed["renamed"], ignore_errors=True)
    run.resume()


def evaluate_preempted(run: Run) -> None:
    """The stage after the training is taken away: it comes back as well."""
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
    return [entry["job_id"] for entry in run.entries("submitted") if entry["stage"] == "train"]


LIMIT = f"train.slurm_signal_delay_s={WARNING_SECONDS}"


def single(name: str, gate: str, **changes: object) -> Scenario:
    """One preemption at a gate."""
    return replace(Scenario(name, preempted_at(gate), (gate,), requeued_by=("stage",)), **changes)


FAULTS: tuple[Scenario, ...] = (
    Scenario("preempted three times", in_turn(*map(preempted_at, STEP_GATES)), STEP_GATES, requeued_by=THRICE),
    Scenario("preempted three times, dropout 0.1", in_turn(*map(preempted_at, STEP_GATES)), STEP_GATES,
             reference=DROPOUT, requeued_by=THRICE),
    Scenario("preempted at the interpreter's start", preempted_early, requeued_by=("any",)),
    single("preempted during the imports", "imports@0"),
    single("preempted while the data is loaded", "data@0"),
    single("preempted while the model is loaded", "model@0"),
    single("preempted in the evaluation before the first step", "evaluation@0"),
    single("preempted in the first step", "begin@0"),
    single("preempted inside an accumulation", "accumulation@12"),
    single("preempted inside an accumulation, dropout 0.1", "accumulation@12", reference=DROPOUT),
    single("preempted in an evaluation", "evaluation@12"),
    single("preempted in an evaluation, dropout 0.1", "evaluation@12", reference=DROPOUT),
    single("preempted while it generates", "generation@12"),
    single("preempted during a save", "save@8"),
    single("preempted in the last evaluation", "evaluation@24"),
    Scenario("preempted after the last step", preempted_after_the_end, ("after@24",)),
    Scenario("preempted twice before a step", preempted_twice_before_a_step, ("model@0",), requeued_by=("stage",) * 2),
    Scenario("preempted in the prepare stage", prepare_preempted, ("tokenise@0",), prepares=True,
             settings=("prepare.slurm_partition=gpu-preempt", "prepare.gpus_per_node=1")),
    Scenario("preempted in the evaluate stage", evaluate_preempted, evaluate_starts=2,
             settings=("evaluate.slurm_partition=gpu-preempt", "evaluate.gpus_per_node=1")),
    Scenario("timed out", timed_out_at("step@12"), ("step@12",), settings=(LIMIT,), requeued_by=("stage",)),
    Scenario("timed out, and the save does not fit", expired_at("step@12"), ("step@12",), settings=(LIMIT,), lost=4,
             requeued_by=("successor",)),
    Scenario("signalled by hand", signalled_at("step@12"), ("step@12",), requeued_by=("stage",)),
    Scenario("cancelled, then resumed", cancelled_at("step@12"), ("step@12",), requeued_by=("resume",)),
    Scenario("preempted three times, successors preferred", in_turn(*map(preempted_at, STEP_GATES)), STEP_GATES,
             settings=("regrow.requeue.prefer=successor",), requeued_by=("successor",) * 3),
    Scenario("kill -9 of a rank", killed_at("step@12", "callbacks.rank train"), ("step@12",), lost=4, requeued_by=("stage",)),
    Scenario("kill -9 of the stage", killed_at("step@12", "submitit.core._submit"), ("step@12",), lost=4,
             requeued_by=("stage",)),
    Scenario("kill -9 of the node", node_killed_at("step@12"), ("step@12",), lost=4, requeued_by=("slurm",)),
    Scenario("kill -9 during a save", killed_at("save@16", "callbacks.rank train"), ("save@16",), lost=8,
             requeued_by=("stage",)),
    *(
        Scenario(f"torn checkpoint: {what}", torn_after_preemption(tear), ("step@12",), lost=5, requeued_by=("stage",))
        for what, tear in {
            "no manifest": without("regrow_manifest.json"),
            "no trainer_state.json": without("trainer_state.json"),
            "no optimizer.pt": without("optimizer.pt"),
            "no rng_state.pth": without("rng_state.pth"),
            "half an adapter": cut_short,
        }.items()
    ),
    Scenario("disk full at a save, then resumed", disk_full, ("step@12",), lost=8, requeued_by=("resume",),
             around=small_disk),
)  # fmt: skip

SITES: dict[str, tuple[Site, str]] = {
    "TERM only": (Site(user_signal=False), "stage"),
    "cgroup": (Site(proctrack="cgroup"), "stage"),
    "cgroup, TERM only": (Site(proctrack="cgroup", user_signal=False), "stage"),
    "GraceTime 0": (Site(grace_time=0), "slurm"),
    "GraceTime 0, TERM only": (Site(grace_time=0, user_signal=False), "slurm"),
    "PreemptMode CANCEL": (Site(preempt_mode="CANCEL"), "stage"),
    "PreemptMode CANCEL, GraceTime 0": (Site(preempt_mode="CANCEL", grace_time=0), "successor"),
    "JobRequeue 0": (Site(job_requeue=False), "stage"),
    "no accounting": (Site(accounting=False), "stage"),
}
"""Other ways of sites, and who brings a preempted job back there."""
BLIND = Site(user_signal=False, accounting=False)
WITHOUT_SCONTROL = "export PATH={folder}/only_srun"


def hard_day(name: str, site: Site, by: str) -> Scenario:
    """Four things that happen to one run: an early preemption, three more of which one is its time limit."""
    acts = in_turn(preempted_early, preempted_at("step@5"), preempted_at("step@12"), timed_out_at("step@20"))
    return Scenario(f"{name}: early and two more preemptions, time limit", acts, STEP_GATES, site, settings=(LIMIT,),
                    requeued_by=("any", by, by, "stage"))  # fmt: skip


OTHER_SITES: tuple[Scenario, ...] = (
    *(hard_day(name, site, by) for name, (site, by) in SITES.items()),
    *(
        Scenario(f"{name}: cancelled, then resumed", cancelled_at("step@12"), ("step@12",), site, requeued_by=("resume",))
        for name, (site, _) in SITES.items()
    ),
    Scenario("TERM only, no scontrol on the node: preempted three times", in_turn(*map(preempted_at, STEP_GATES)),
             STEP_GATES, BLIND, setup=WITHOUT_SCONTROL, requeued_by=("slurm",) * 3),
    Scenario("TERM only, no scontrol on the node: time limit, then resumed", timed_out_for_good_at("step@12"), ("step@12",),
             BLIND, settings=(LIMIT,), setup=WITHOUT_SCONTROL, requeued_by=("resume",)),
    Scenario("TERM only, no scontrol on the node: cancelled, then resumed", cancelled_at("step@12"), ("step@12",), BLIND,
             setup=WITHOUT_SCONTROL, requeued_by=("resume",)),
)  # fmt: skip
RANKS: tuple[Scenario, ...] = tuple(
    Scenario(f"{ranks} ranks, {name}: preempted three times", in_turn(*map(preempted_at, STEP_GATES), check), STEP_GATES,
             reference=(f"train.gpus_per_node={ranks}", setting), requeued_by=THRICE)
    for ranks in (2, 4)
    for name, setting, check in (
        ("DDP", "ddp_find_unused_parameters=true", lambda run: None),
        ("ZeRO-2", f"deepspeed={REPO_ROOT}/deepspeed_configs/zero2.json", shards_were_saved),
    )
)  # fmt: skip
ROWS = (*FAULTS, *OTHER_SITES, *RANKS)
