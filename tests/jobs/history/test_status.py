"""`regrow status`: what a journal and Slurm's answers make of a run, and how fast many of them are looked at."""

import os
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from entries import entry
from world import REGROW, REPO_ROOT

from callbacks.shared import events
from callbacks.shared.journal import Entry, Journal, _line
from jobs.history.pace import Pace, pace
from jobs.history.run_state import run_status
from jobs.history.runs import Runs, may_go_on
from jobs.history.status import RunStatus, duration
from jobs.slurm.commands import NO_ANSWER, QueuedJob
from jobs.spec.find import typed_name
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import RunSpec, write_run

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
    """The status, where Slurm says this of the stages' jobs."""
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
    assert status.eta_seconds == pytest.approx(40)  # 40 steps at one a second
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
    assert cancelled.to_go_on == f"regrow resume {typed_name(spec)}"
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


def day_long_journal(spec: RunSpec, is_ended: bool) -> None:
    """As a training of a day leaves it: 560 logs, 40 saves, three attempts, and what its machine did every 30 s."""
    train = str(spec.paths.journal / "train-2-0")
    stage, rank, mlflow = (Journal.of_writer(train, writer) for writer in ("stage", "rank0", "mlflow"))
    lines: dict[Path, list[Entry]] = {stage.path: [], rank.path: [], mlflow.path: []}
    lines[stage.path] += [started(10), entry(40, "left", stage="train", part=0, cause="preempted", step=0), started(60)]
    lines[rank.path].append(entry(70, "training_began", step=0, target_step=5600))
    for step in range(10, 5610, 10):
        values = {"loss": 1 / step, "grad_norm": 0.5, "learning_rate": 1e-4, "epoch": step / 1870, "memory/peak": 61.5}
        lines[rank.path].append(entry(70.0 + step, "metrics", step=step, values=values))
        if step % 140 == 0:
            lines[rank.path].append(entry(71.0 + step, "saved", step=step, seconds=9.5))
    system = {f"system/gpu_{gpu}_{what}": 0.5 for gpu in range(4) for what in ("power", "memory", "utilization")}
    lines[mlflow.path] += [entry(30.0 * number, "system", second=30 * number, values=system) for number in range(2880)]
    if is_ended:
        lines[stage.path].append(entry(9999, "run_ended", status="FINISHED"))
    for path, entries in lines.items():
        path.write_text("".join(_line(each) for each in entries))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 runs on this machine, of which five go on."""
    runs_root = tmp_path_factory.mktemp("many")
    spec = load_run_spec(TINY, "local", [f"runs_root={runs_root}"], "first")
    for number in range(200):
        run = spec.model_copy(update={"name": f"run-{number:03}"})
        write_run(run)
        day_long_journal(run, is_ended=number >= 5)
    return runs_root


def test_two_hundred_runs_are_shown_in_a_second(many: Path, clean_environment: dict[str, str]) -> None:
    def shown() -> float:
        """Seconds of CPU: what else this machine does is no matter."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [str(REGROW), "status", "--set", f"runs_root={many}"]
        done = subprocess.run(command, env=clean_environment, capture_output=True, text=True, check=True)
        assert done.stdout.count("5,600/5,600") == 200
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    seconds = [shown() for _ in range(4)]
    print("first and later looks, seconds of CPU:", seconds)
    assert min(seconds[1:]) < 1.0, seconds


def test_ended_run_is_read_again_once_its_journal_has_grown(tmp_path: Path) -> None:
    spec = load_run_spec(TINY, "local", [f"runs_root={tmp_path}"], "one")
    write_run(spec)
    journal = Journal(spec.paths.journal / "report-4-0-stage.jsonl")
    journal.write(events.RunEnded(status="FAILED"))
    assert [Runs(tmp_path).statuses()[0].state for _ in range(2)] == ["failed", "failed"]
    assert spec.paths.status.exists()
    journal.write(events.RunEnded(status="FINISHED"))
    assert Runs(tmp_path).statuses()[0].state == "finished"
    spec.paths.status.write_text('{"status": "of another version"}')
    assert Runs(tmp_path).statuses()[0].state == "finished"


def test_looking_again_reads_only_what_is_new(many: Path) -> None:
    runs = Runs(many)
    first = {status.name: status for status in runs.statuses()}
    spec = RunSpec.load(many / "run-000")
    Journal.of_writer(str(spec.paths.journal / "train-2-0"), "rank0").write(
        events.Metrics(step=5600, values={"loss": 0.125})
    )
    again = {status.name: status for status in runs.statuses()}
    assert (first["run-000"].loss, again["run-000"].loss) == (1 / 5600, 0.125)
    assert first["run-001"] == again["run-001"]


@pytest.fixture
def foreground() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process


def test_run_on_this_machine_is_lost_when_its_command_is_gone(
    tmp_path: Path, foreground: subprocess.Popen[bytes]
) -> None:
    spec = load_run_spec(TINY, "local", [f"runs_root={tmp_path}"], "here")
    write_run(spec)
    journal = Journal(spec.paths.journal / "login-1-cli.jsonl")
    journal.write(events.Foreground(host=os.uname().nodename, pid=foreground.pid))
    (waits,) = Runs(tmp_path, "here").statuses()
    assert (waits.state, may_go_on(spec)()) == ("waiting", True)
    assert foreground.stdin
    foreground.stdin.close()
    foreground.wait()
    (gone,) = Runs(tmp_path, "here").statuses()
    assert (gone.state, may_go_on(spec)()) == ("lost", False)
