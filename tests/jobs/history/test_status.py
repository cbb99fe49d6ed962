"""`regrow status`: a run's status, from its journal and Slurm's answers."""

import time
from collections.abc import Mapping

import pytest
from entries import entry
from world import REPO_ROOT

from callbacks.shared.journal import Entry
from jobs.history.pace import Pace, pace
from jobs.history.run_state import run_status
from jobs.history.status import RunStatus, duration
from jobs.slurm.answers import NO_ANSWER, QueuedJob
from jobs.spec.find import name_to_type
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import RunSpec

TINY = REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml"
SUBMITTED = {"prepare": "1", "train": "2", "evaluate": "3", "report": "4"}


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    return load_run_spec(TINY, "dev", [f"runs_root={tmp_path_factory.mktemp('runs')}"], "one")


def submitted(time: float = 0.0, **jobs: str) -> list[Entry]:
    return [entry(time, "submitted", "login-1-cli", stage=stage, job_id=job_id) for stage, job_id in jobs.items()]


def started(time: float, stage: str = "train", job_id: str = "2", attempt: int = 0, part: int = 0) -> Entry:
    return entry(time, "stage_started", f"{stage}-{job_id}-{attempt}-stage", stage=stage, part=part, job_id=job_id,
                 attempt=attempt, host="n1", log=f"/run/slurm/{stage}-{job_id}-{attempt}.log")  # fmt: skip


def steps(*times: tuple[float, int], attempt: int = 0) -> list[Entry]:
    return [
        entry(time, "metrics", f"train-2-{attempt}-rank0", step=step, values={"loss": 1 / step}) for time, step in times
    ]


def seen(spec: RunSpec, entries: list[Entry], **states: QueuedJob | str) -> RunStatus:
    """The status of the run if Slurm gives these states for the stages' jobs."""
    of_job: Mapping[str, QueuedJob] = {
        SUBMITTED[stage]: state if isinstance(state, QueuedJob) else QueuedJob(state, "")
        for stage, state in states.items()
    }
    return run_status(spec, entries, lambda conf, job_id: of_job.get(job_id, QueuedJob("UNKNOWN", "")))


def test_training_tells_step_pace_loss_attempt_and_checkpoint(spec: RunSpec) -> None:
    entries = [
        *submitted(**SUBMITTED),
        started(10),
        entry(20, "training_began", step=0, target_step=100),
        *steps((30, 10), (40, 20)),
        entry(41, "saved", step=20, seconds=1.0),
        entry(
            42,
            "left",
            "train-2-0-stage",
            stage="train",
            part=0,
            cause="preempted",
            action="requeue",
            reason="",
            step=20,
        ),
        started(60, attempt=1),
        entry(70, "training_began", "train-2-1-rank0", step=20, target_step=100),
        *steps((90, 40), (110, 60), attempt=1),
    ]
    status = seen(spec, entries, prepare="COMPLETED", train="RUNNING", evaluate="PENDING")
    assert (status.state, status.stage, status.step, status.target_step) == ("running", "train", 60, 100)
    assert status.eta_seconds == pytest.approx(40)  # 40 steps, one second each
    assert (status.loss, status.attempt, status.saved_at, status.steps_lost) == (1 / 60, 2, 41, 0)
    assert [job.attempts for job in status.jobs if job.stage == "train"] == [2]
    assert status.goodput and 0 < status.goodput < 1


def test_waiting_run_says_what_happened_and_why_and_until_when(spec: RunSpec) -> None:
    left = entry(
        42, "left", "train-2-0-stage", stage="train", part=0, cause="preempted", action="requeue", reason="", step=20
    )
    pending = QueuedJob("PENDING", "Priority", time.time() + 7203)
    status = seen(spec, [*submitted(**SUBMITTED), started(10), left], prepare="COMPLETED", train=pending)
    assert status.state == "waiting"
    assert status.message.startswith(
        "train was preempted at step 20; train is pending (Priority), expected to start in 2h 0"
    )
    assert [job.start_time for job in status.jobs if job.stage == "train"] == [pending.start_time]


@pytest.mark.parametrize(
    "held",
    [QueuedJob("REQUEUE_HOLD", "job requeued in held state"), QueuedJob("PENDING", "JobHeldUser"),
     QueuedJob("PENDING", "launch failed requeued held")],
)  # fmt: skip
def test_run_whose_job_slurm_holds_says_how_to_release_it(spec: RunSpec, held: QueuedJob) -> None:
    status = seen(spec, [*submitted(**SUBMITTED), started(10)], prepare="COMPLETED", train=held)
    assert status.message == f"Slurm holds train ({held.reason}); `scontrol release {SUBMITTED['train']}` lets it start"


def test_run_that_is_just_told_to_stop_says_so(spec: RunSpec) -> None:
    told = entry(
        30, "stop_requested", "train-2-0-stage", signal="SIGTERM", came=30, cause="preempted", phase="training"
    )
    status = seen(spec, [*submitted(**SUBMITTED), started(10), told], prepare="COMPLETED", train="RUNNING")
    assert status.message == "train was preempted: it saves its work and leaves"
    timed_out = entry(
        42, "left", "train-2-0-stage", stage="train", part=0, cause="timed_out", action="requeue", reason="", step=20
    )
    status = seen(spec, [*submitted(**SUBMITTED), started(10), told, timed_out], prepare="COMPLETED", train="RUNNING")
    assert status.message == "train was near its time limit at step 20"


@pytest.mark.parametrize(
    ("entries", "states", "state"),
    [
        ([], {"prepare": "PENDING"}, "waiting"),
        ([started(1)], {"train": "COMPLETING"}, "running"),
        ([started(1)], {}, "lost"),
        ([started(1)], {"train": NO_ANSWER}, "unknown"),
        ([entry(1, "stage_failed", stage="evaluate", part=0, message="it broke")], {"evaluate": NO_ANSWER}, "unknown"),
        ([entry(1, "cancel_requested")], {"train": NO_ANSWER}, "unknown"),
        ([entry(1, "run_ended", status="FINISHED")], {"train": NO_ANSWER}, "finished"),
        (
            [entry(1, "run_ended", status="FINISHED"), entry(2, "stage_failed", stage="report", part=0, message="")],
            {},
            "failed",
        ),
        ([], {"train": "REQUEUE_HOLD"}, "waiting"),
        ([entry(1, "run_ended", status="KILLED")], {}, "cancelled"),
        ([entry(1, "cancel_requested")], {}, "cancelled"),
        ([entry(1, "stage_failed", stage="train", part=0, message="it broke")], {}, "failed"),
        ([entry(1, "run_ended", status="FAILED"), *submitted(2, train="2")], {"train": "PENDING"}, "waiting"),
    ],
)
def test_state_is_what_slurm_and_the_journal_make_of_it(
    spec: RunSpec, entries: list[Entry], states: dict[str, str], state: str
) -> None:
    assert seen(spec, [*submitted(**SUBMITTED), *entries], **states).state == state


@pytest.mark.parametrize("said", ["PREEMPTED", "UNKNOWN", NO_ANSWER])
def test_finished_stage_is_completed_whatever_slurm_calls_its_job(spec: RunSpec, said: str) -> None:
    finished = entry(1, "stage_finished", "prepare-1-0-stage", stage="prepare", part=0)
    status = seen(spec, [*submitted(**SUBMITTED), finished], prepare=said, train="RUNNING")
    assert [job.state for job in status.jobs if job.stage == "prepare"] == ["COMPLETED"]
    assert status.state == "running"


def test_stage_whose_job_has_a_node_is_starting_until_it_is_at_a_step(spec: RunSpec) -> None:
    entries = [*submitted(**SUBMITTED), entry(1, "stage_finished", "prepare-1-0-stage", stage="prepare", part=0)]
    silent = seen(spec, entries, prepare="COMPLETED", train="RUNNING")
    assert (silent.stage, silent.is_starting) == ("train", True)
    loading = seen(spec, [*entries, started(10)], train="RUNNING")
    assert (loading.stage, loading.is_starting) == ("train", True)
    began = entry(20, "training_began", step=0, target_step=100)
    assert not seen(spec, [*entries, started(10), began], train="RUNNING").is_starting
    again = seen(spec, [*entries, started(10), began, started(30, attempt=1)], train="RUNNING")
    assert (again.attempt, again.is_starting) == (2, True)
    assert not seen(spec, [*entries, started(10)], train="PENDING").is_starting


def test_finished_stage_is_completed_where_slurm_says_nothing(spec: RunSpec) -> None:
    finished = entry(1, "stage_finished", "prepare-1-0-stage", stage="prepare", part=0)
    entries = [*submitted(**SUBMITTED), finished, started(10), entry(20, "cancel_requested")]
    status = seen(spec, entries, prepare=NO_ANSWER, train=NO_ANSWER, report="CANCELLED")
    assert [job.state for job in status.jobs] == ["COMPLETED", NO_ANSWER, "UNKNOWN", "CANCELLED"]


def test_run_that_has_ended_unfinished_says_what_to_type(spec: RunSpec) -> None:
    cancelled = seen(spec, [*submitted(**SUBMITTED), entry(1, "cancel_requested")])
    assert cancelled.to_go_on == f"regrow resume {name_to_type(spec)}"
    assert not seen(spec, submitted(**SUBMITTED), train="RUNNING").to_go_on


def test_pace_of_an_evaluation_is_that_of_all_its_jobs() -> None:
    entries = [
        entry(0, "part_began", "evaluate-3_0-0-generate", part=0, done=0, records=50),
        entry(1, "part_began", "evaluate-3_1-0-generate", part=1, done=10, records=50),
        *(
            entry(time, "generated", f"evaluate-3_{part}-0-generate", part=part, records=10, seconds=1.0)
            for time, part in ((10, 0), (20, 1), (30, 0))
        ),
    ]
    assert pace(entries, "evaluate") == Pace(40, 100, pytest.approx(60))
    assert pace(entries, "report") == Pace(None, None, None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (61, "1m 01s"), (3600, "1h 00m"), (90061, "1d 01h"), (8e6, "92d 14h")],
)
def test_duration_is_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
