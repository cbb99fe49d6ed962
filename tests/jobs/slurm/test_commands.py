"""What Slurm's answers mean: a job's record, times, limits. The answers are those of a real Slurm 22.05."""

import pytest

from jobs.slurm import commands as slurm
from jobs.slurm.commands import job_record, jobs_of_user, parse_job_record, requeue

RUNNING = (
    "JobId=2 JobName=wrap UserId=root(0) Dependency=(null) JobState=RUNNING Reason=None Requeue=1 Restarts=3 BatchFlag=1 "
    "ExitCode=0:0 RunTime=00:00:09 TimeLimit=00:10:00 StartTime=1795505995 EndTime=1795506595 "
    "PreemptEligibleTime=1795505995 PreemptTime=None Partition=gpu-preempt"
)


def test_record_of_a_running_job() -> None:
    record = parse_job_record(RUNNING)
    assert (record.state, record.restarts, record.requeueable, record.preempt_time) == ("RUNNING", 3, True, None)
    assert record.end_time == record.limit_end == 1795506595
    assert not record.has_ended


def test_grace_period_ends_before_the_time_limit() -> None:
    record = parse_job_record(
        RUNNING.replace("PreemptTime=None", "PreemptTime=1795506000").replace("=1795506595", "=1795506010")
    )
    assert record.preempt_time == 1795506000
    assert (record.end_time, record.limit_end) == (1795506010, 1795506595)


@pytest.mark.parametrize(
    ("limit", "minutes"), [("00:10:00", 10), ("2:00:00", 120), ("1-00:00:00", 1440), ("3-02:30:00", 4470)]
)
def test_time_limit_counts_from_the_start(limit: str, minutes: int) -> None:
    record = parse_job_record(RUNNING.replace("TimeLimit=00:10:00", f"TimeLimit={limit}"))
    assert record.limit_end == 1795505995 + 60 * minutes


def test_job_without_limit_or_start_has_no_end() -> None:
    unlimited = parse_job_record(RUNNING.replace("TimeLimit=00:10:00", "TimeLimit=UNLIMITED"))
    pending = parse_job_record(
        RUNNING.replace("StartTime=1795505995", "StartTime=Unknown").replace("=RUNNING", "=PENDING")
    )
    assert unlimited.limit_end is None
    assert pending.limit_end is None


@pytest.mark.parametrize("state", ["RUNNING", "SIGNALING", "CONFIGURING", "SUSPENDED"])
def test_job_on_a_node_has_not_ended(state: str) -> None:
    assert not parse_job_record(RUNNING.replace("=RUNNING", f"={state}")).has_ended


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", "PREEMPTED", "TIMEOUT", "PENDING"])
def test_job_in_any_other_state_has(state: str) -> None:
    assert parse_job_record(RUNNING.replace("=RUNNING", f"={state}")).has_ended


def test_nobody_knows_where_there_is_no_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert not slurm.is_reachable()
    assert job_record("1") is None
    assert jobs_of_user() is None
    assert "not on this machine" in requeue("1")
    assert slurm.accounted_states(["1"]) == {}
