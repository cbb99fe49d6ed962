"""How Slurm's answers are parsed: a job's record, times, limits. The answers come from a real Slurm 22.05."""

import os
from pathlib import Path

import pytest

from jobs.slurm.answers import parse_job_record
from jobs.slurm.commands import SlurmCluster

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


@pytest.mark.parametrize("key", ["Comment", "AdminComment", "SystemComment", "WorkDir", "Command"])
def test_what_users_write_is_no_field(key: str) -> None:
    text = "x JobState=FAILED Restarts=7 Requeue=0 PreemptTime=5 EndTime=6 TimeLimit=00:01:00 Partition=other QOS=other"
    assert parse_job_record(f"{WHOLE} {key}={text}") == parse_job_record(WHOLE)


def test_limit_that_is_no_time_is_none() -> None:
    assert parse_job_record(RUNNING.replace("TimeLimit=00:10:00", "TimeLimit=Partition_Limit")).limit_end is None


def test_answer_that_is_no_utf8_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "record").write_bytes(f"{WHOLE} Comment=".encode() + b"caf\xe9\n")
    command(tmp_path / "scontrol", f"cat {tmp_path}/record")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert SlurmCluster().job_record("12") == parse_job_record(WHOLE)


def test_command_that_may_not_be_run_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "squeue").write_text("#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert SlurmCluster().jobs_of_user() is None


def test_what_people_have_set_for_their_eyes_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(tmp_path / "squeue", f"env > {tmp_path}/seen")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name in ("SQUEUE_PARTITION", "SQUEUE_FORMAT", "SACCT_FORMAT", "SCANCEL_STATE", "SLURM_TIME_FORMAT", "COLUMNS"):
        monkeypatch.setenv(name, "gpu")
    assert SlurmCluster().jobs_of_user() == {}
    seen = dict(line.partition("=")[::2] for line in (tmp_path / "seen").read_text().splitlines())
    assert "gpu" not in seen.values()
    assert seen["SLURM_TIME_FORMAT"] == "%s"


def command(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def test_nobody_knows_where_there_is_no_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    cluster = SlurmCluster()
    assert not cluster.is_reachable()
    assert cluster.job_record("1") is None
    assert cluster.jobs_of_user() is None
    assert "not on this machine" in cluster.requeue("1")
    assert cluster.accounted_states(["1"]) == {}


WHOLE = (
    "JobId=12 JobName=mine-train UserId=you(1000) GroupId=you(1000) MCS_label=N/A Priority=4294901757 Nice=0 Account=(null) "
    "QOS=normal WCKey=*submitit JobState=RUNNING Reason=None Dependency=(null) Requeue=1 Restarts=1 BatchFlag=1 Reboot=0 "
    "ExitCode=0:0 RunTime=00:00:21 TimeLimit=02:00:00 TimeMin=N/A SubmitTime=1795505900 EligibleTime=1795505960 "
    "AccrueTime=1795505960 StartTime=1795505995 EndTime=1795513195 Deadline=N/A PreemptEligibleTime=1795505995 "
    "PreemptTime=None SuspendTime=None SecsPreSuspend=0 LastSchedEval=1795505995 Scheduler=Main Partition=gpu-preempt "
    "AllocNode:Sid=host:4711 ReqNodeList=(null) ExcNodeList=(null) NodeList=gpu-a100-1 BatchHost=gpu-a100-1 NumNodes=1 "
    "NumCPUs=2 NumTasks=1 CPUs/Task=2 ReqB:S:C:T=0:0:*:* TRES=cpu=2,mem=2G,node=1,billing=2,gres/gpu=1 Socks/Node=* "
    "NtasksPerN:B:S:C=1:0:*:* CoreSpec=* MinCPUsNode=2 MinMemoryCPU=1G MinTmpDiskNode=0 Features=(null) DelayBoot=00:00:00 "
    "OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null) Command=/runs/mine/slurm/submission_file_ab.sh "
    "WorkDir=/home/you StdErr= StdIn=/dev/null StdOut=/runs/mine/slurm/12_0_log.out Power= TresPerNode=gres:gpu:1"
)


def test_whole_record_as_slurm_prints_it() -> None:
    record = parse_job_record(WHOLE)
    assert (record.state, record.restarts, record.requeueable, record.preempt_time) == ("RUNNING", 1, True, None)
    assert record.limit_end == record.end_time == 1795513195
    assert (record.partition, record.qos) == ("gpu-preempt", "normal")


def test_each_cluster_is_asked_by_its_own_configuration_and_this_process_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\necho "JobState=RUNNING Restarts=$(cat $SLURM_CONF)"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "5"))
    for number in ("3", "4", "5"):
        (tmp_path / number).write_text(number)
    answers = [SlurmCluster(conf and str(tmp_path / conf)).job_record("1") for conf in ("3", "4", None)]
    assert [answer and answer.restarts for answer in answers] == [3, 4, 5]
    assert os.environ["SLURM_CONF"] == str(tmp_path / "5")


def test_cluster_whose_configuration_is_gone_is_not_searched_for(tmp_path: Path) -> None:
    cluster = SlurmCluster(str(tmp_path / "gone"))
    assert cluster.jobs_of_user() is None
    assert "does not exist" in cluster.why_not()
