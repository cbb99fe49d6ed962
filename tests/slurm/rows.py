"""The chaos table: every scenario, with what is done to the run and what must hold."""

import signal
from dataclasses import replace

from acts import (
    EXEMPT_SECONDS,
    cancelled_at,
    evaluate_preempted,
    exempt_at,
    frozen_at,
    in_turn,
    killed_at,
    node_killed_at,
    preempted_after_the_end,
    preempted_at,
    preempted_early,
    preempted_twice_before_a_step,
    preempted_without_requeue_at,
    prepare_preempted,
    shards_were_saved,
    signalled_at,
    suspended_at,
    without_more_jobs,
)
from away import (
    finished_while_the_controller_is_away,
    outages_at_random_moments,
    preempted_while_the_controller_is_away,
    typed_while_the_controller_is_away,
)
from clocks import CLOCK_SECONDS, WRONG_CLOCKS, clocks_were_apart
from damage import (
    cut_short,
    disk_full,
    small_disk,
    small_temporary_folder,
    temporary_folder_full_at,
    temporary_folder_removed_at,
    torn_after_preemption,
    without,
)
from dev_cluster.site import Site
from disturbed_run import STEPS
from faulty_acts import server_away_at_a_stop, server_away_in_training, with_faults, writes_fail_at
from faulty_fs import Faults
from scenario import LONGEST_WAIT_SECONDS, Scenario
from shapes import SHAPES
from time_limits import expired_at, timed_out_at, timed_out_for_good_at
from world import REPO_ROOT

USER = Site()
STEP_GATES = ("step@5", "step@12", "step@20")
THRICE = ("grace",) * 3
DROPOUT = ("lora_dropout=0.1", "lora_target_parameters=null")
WARNING_SECONDS = 110
LIMIT = f"train.slurm_signal_delay_s={WARNING_SECONDS}"


def single(name: str, gate: str, **changes: object) -> Scenario:
    """One preemption at a gate."""
    return replace(Scenario(name, preempted_at(gate), (gate,), requeued_by=("grace",)), **changes)


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
    Scenario("preempted twice before a step", preempted_twice_before_a_step, ("model@0",), requeued_by=("grace",) * 2),
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
    Scenario("frozen during a save, awake after its successor has begun", frozen_at("save@16"), ("save@16",), lost=8,
             requeued_by=("slurm",)),
    *(
        Scenario(f"torn checkpoint: {what}", torn_after_preemption(tear), ("step@12",), lost=5, requeued_by=("grace",))
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
    "TERM only": (Site(user_signal=False), "grace"),
    "cgroup": (Site(proctrack="cgroup"), "grace"),
    "cgroup, TERM only": (Site(proctrack="cgroup", user_signal=False), "grace"),
    "GraceTime 0": (Site(grace_time=0), "slurm"),
    "GraceTime 0, TERM only": (Site(grace_time=0, user_signal=False), "slurm"),
    "PreemptMode CANCEL": (Site(preempt_mode="CANCEL"), "grace"),
    "PreemptMode CANCEL, GraceTime 0": (Site(preempt_mode="CANCEL", grace_time=0), "successor"),
    "JobRequeue 0": (Site(job_requeue=False), "grace"),
    "no accounting": (Site(accounting=False), "grace"),
    "PreemptType qos": (Site(preempt_type="qos"), "grace"),
    "PreemptType qos, PreemptMode CANCEL": (Site(preempt_type="qos", preempt_mode="CANCEL"), "grace"),
}
"""Sites with other settings, and who brings a preempted job back there (as in `Scenario.requeued_by`)."""
EXPEDITED = Site(expedited_requeue=True, cred_expire=120)
BLIND = Site(user_signal=False, accounting=False)
WITHOUT_SCONTROL = "export PATH={folder}/only_srun"


def hard_day(name: str, site: Site, by: str) -> Scenario:
    """Four faults in one run: an early preemption, two more preemptions, and the time limit."""
    acts = in_turn(preempted_early, preempted_at("step@5"), preempted_at("step@12"), timed_out_at("step@20"))
    return Scenario(f"{name}: early and two more preemptions, time limit", acts, STEP_GATES, site, settings=(LIMIT,),
                    requeued_by=("any", by, by, "stage"))  # fmt: skip


OTHER_SITES: tuple[Scenario, ...] = (
    *(hard_day(name, site, by) for name, (site, by) in SITES.items()),
    *(
        Scenario(f"{name}: cancelled, then resumed", cancelled_at("step@12"), ("step@12",), site, requeued_by=("resume",))
        for name, (site, _) in SITES.items()
    ),
    Scenario("PreemptMode SUSPEND: suspended for 30 s", suspended_at("step@12", 30), ("step@12",), Site(preempt_mode="SUSPEND")),
    Scenario("PreemptExemptTime 1 minute: preempted", exempt_at("step@12"), ("step@12",), Site(preempt_exempt=EXEMPT_SECONDS),
             requeued_by=("grace",)),
    Scenario("enable_expedited_requeue, cred_expire 120: preempted three times", in_turn(*map(preempted_at, STEP_GATES)),
             STEP_GATES, EXPEDITED, since=(25, 11), requeued_by=THRICE),
    Scenario("enable_expedited_requeue: cancelled, then resumed", cancelled_at("step@12"), ("step@12",), EXPEDITED,
             since=(25, 11), requeued_by=("resume",)),
    Scenario("Requeue=0 set by the site: preempted three times",
             in_turn(*map(preempted_without_requeue_at, STEP_GATES)),
             STEP_GATES, requeued_by=("successor",) * 3),
    Scenario("MaxSubmitJobs reached, successors preferred: preempted", without_more_jobs(preempted_at("step@12")), ("step@12",),
             SITES["PreemptType qos"][0], settings=("regrow.requeue.prefer=successor",), requeued_by=("stage",)),
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
AWAY: tuple[Scenario, ...] = tuple(
    Scenario(f"{name}, {what}", acts, gates, site, settings=settings, requeued_by=by, longest_wait=300)
    for what, seconds, number in (
        ("controller killed and back after 100 s", 100, signal.SIGKILL),
        ("controller stopped for 150 s", 150, signal.SIGSTOP),
    )
    for name, acts, gates, site, settings, by in (
        ("preempted", preempted_while_the_controller_is_away("step@12", seconds, number), ("step@12",), USER, (), ("any",)),
        ("preempted, PreemptMode CANCEL", preempted_while_the_controller_is_away("step@12", seconds, number), ("step@12",),
         Site(preempt_mode="CANCEL"), (), ("any",)),
        ("preempted, successors preferred", preempted_while_the_controller_is_away("step@12", seconds, number), ("step@12",),
         USER, ("regrow.requeue.prefer=successor",), ("successor",)),
        ("finished", finished_while_the_controller_is_away(seconds, number), ("after@24",), USER, (), ()),
    )
)  # fmt: skip
TYPED: tuple[Scenario, ...] = tuple(
    Scenario(f"cancelled and resumed, each time the controller {what} for 90 s",
             typed_while_the_controller_is_away("step@12", 90, number), ("step@12",), requeued_by=("resume",))
    for what, number in (("is dead", signal.SIGKILL), ("is stopped", signal.SIGSTOP))
)  # fmt: skip
CLOCKS: tuple[Scenario, ...] = (
    Scenario("clocks of the nodes 10 minutes ahead and behind, in turn: preempted three times",
             in_turn(*map(preempted_at, STEP_GATES), clocks_were_apart), STEP_GATES, requeued_by=THRICE, setup=WRONG_CLOCKS,
             longest_wait=LONGEST_WAIT_SECONDS + 2 * CLOCK_SECONDS, on_this_machine=True),
)  # fmt: skip
NODES_TMP = "mkdir -p {folder}/tmp; export TMPDIR={folder}/tmp"
PREEMPTIONS = in_turn(*map(preempted_at, STEP_GATES))
TMP: tuple[Scenario, ...] = (
    Scenario("TMPDIR does not exist: preempted three times", PREEMPTIONS, STEP_GATES, requeued_by=THRICE,
             setup="export TMPDIR=/no/such/folder"),
    Scenario("TMPDIR removed while it runs: preempted three times", in_turn(*map(temporary_folder_removed_at, STEP_GATES)),
             STEP_GATES, requeued_by=THRICE, setup=NODES_TMP),
    Scenario("TMPDIR full: preempted three times",
             in_turn(temporary_folder_full_at("step@5"), *map(preempted_at, STEP_GATES[1:])), STEP_GATES,
             requeued_by=THRICE, setup=NODES_TMP, around=small_temporary_folder),
)  # fmt: skip
SHARED_FILES: tuple[Scenario, ...] = (
    *(
        Scenario(f"shared file system: {name}: preempted three times", with_faults(faults, PREEMPTIONS), STEP_GATES, site,
                 requeued_by=THRICE, shared=attributes, prepares=True, longest_wait=wait)
        for name, faults, attributes, site, wait in (
            ("no locks", Faults(locks="ENOLCK"), 0.0, USER, LONGEST_WAIT_SECONDS),
            ("attributes 30 s old", Faults(), 30.0, USER, LONGEST_WAIT_SECONDS),
            ("200 ms a call", Faults(delay=0.2), 30.0, Site(grace_time=120), 300),
            ("clock 10 minutes ahead", Faults(clock=600), 0.0, USER, LONGEST_WAIT_SECONDS),
            ("clock 10 minutes behind", Faults(clock=-600), 0.0, USER, LONGEST_WAIT_SECONDS),
        )
    ),
    *(
        Scenario(f"shared file system: {error} at random writes of three stops", writes_fail_at(STEP_GATES, error, seed),
                 STEP_GATES, shared=0.0, lost=STEPS, requeued_by=None, longest_wait=300)
        for seed, error in enumerate(("ENOSPC", "EDQUOT", "EIO", "ESTALE"))
    ),
    Scenario("shared file system: server away for 60 s in the training", server_away_in_training("step@12", 60), ("step@12",),
             shared=0.0),
    Scenario("shared file system: server away for 60 s at a stop", server_away_at_a_stop("step@12", 60), ("step@12",),
             shared=0.0, lost=5, requeued_by=("any",), longest_wait=300),
    Scenario("shared file system: server away for 60 s in a save", server_away_in_training("save@16", 60), ("save@16",),
             shared=0.0),
)  # fmt: skip
FUZZ: tuple[Scenario, ...] = tuple(
    Scenario(f"three outages and a preemption at random moments, seed {seed}", outages_at_random_moments(seed, 3),
             lost=STEPS, requeued_by=None, longest_wait=300)
    for seed in range(10)
)  # fmt: skip
ROWS = (*FAULTS, *OTHER_SITES, *RANKS, *SHAPES, *AWAY, *TYPED, *FUZZ, *TMP, *CLOCKS, *SHARED_FILES)
