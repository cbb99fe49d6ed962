"""A site's facts, read from the output of `scontrol show config`."""

import pytest

from jobs.slurm.site import Partition, SlurmSite, grace_seconds
from jobs.spec.errors import ConfigError
from jobs.spec.site_facts import PartitionFacts, QosFacts, SiteFacts

CONFIG = {"SLURM_VERSION": "22.05.8", "KillWait": "30 sec", "JobRequeue": "1", "MaxArraySize": "1001",
          "AccountingStorageType": "accounting_storage/slurmdbd"}  # fmt: skip
PARTITIONS = {
    "cpu": Partition(PartitionFacts(preempt_mode="OFF", grace_seconds=0, max_minutes=None), is_default=True),
    "gpu": Partition(PartitionFacts(preempt_mode="REQUEUE", grace_seconds=60, max_minutes=1440), is_default=False),
}


@pytest.mark.parametrize(
    ("auth_info", "seconds"), [("socket=/x,cred_expire=5", 5), ("cred_expire=300", 300), ("(null)", 120)]
)
def test_cred_expire_has_slurms_own_default(auth_info: str, seconds: int) -> None:
    assert SlurmSite(CONFIG | {"AuthInfo": auth_info}, PARTITIONS).facts({}).cred_expire_seconds == seconds


@pytest.mark.parametrize("key", ["SlurmctldParameters", "PreemptParameters"])
def test_user_signal_may_stand_in_either_parameter(key: str) -> None:
    assert SlurmSite(CONFIG | {key: "a,preempt_send_user_signal"}, PARTITIONS).facts({}).user_signal
    assert not SlurmSite(CONFIG, PARTITIONS).facts({}).user_signal


def test_stage_without_a_partition_goes_to_the_default() -> None:
    facts = SlurmSite(CONFIG, PARTITIONS).facts({"prepare": None, "train": "gpu"})
    assert (facts.partitions["prepare"]["cpu"].preempt_mode, facts.partitions["train"]["gpu"].grace_seconds) == (
        "OFF",
        60,
    )


def test_of_several_partitions_the_one_that_the_job_got_counts() -> None:
    facts = SlurmSite(CONFIG, PARTITIONS).facts({"train": "cpu,gpu"})
    assert (facts.requeues("train", "gpu"), facts.requeues("train", "cpu")) == (True, False)
    assert (facts.preempts("train", "gpu"), facts.preempts("train", "cpu")) == (True, False)
    assert (facts.requeues("train"), facts.preempts("train")) == (False, True)  # unknown: what is safe


def test_where_the_qos_decides_the_partition_does_not() -> None:
    qos = {
        "normal": QosFacts(preempt_mode="CANCEL", grace_seconds=0),
        "low": QosFacts(preempt_mode="REQUEUE", grace_seconds=60),
    }
    facts = SlurmSite(CONFIG, PARTITIONS, qos).facts({"train": "gpu"})
    assert (facts.requeues("train", "gpu", "low"), facts.requeues("train", "gpu", "normal")) == (True, False)
    assert not facts.requeues("train", "gpu")


def test_facts_of_an_older_run_are_read() -> None:
    old = {"train": {"preempt_mode": "REQUEUE", "grace_seconds": 60, "max_minutes": None}}
    new = SlurmSite(CONFIG, PARTITIONS).facts({"train": "gpu"}).model_dump() | {"partitions": old}
    del new["qos"]
    assert SiteFacts.model_validate(new).requeues("train", "gpu")


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:00:00", 0), ("00:01:30", 90), ("1-00:00:10", 86_410), ("", 0), ("45", 45)]
)
def test_grace_time_of_a_qos_is_a_clock(text: str, seconds: int) -> None:
    assert grace_seconds(text) == seconds


def test_unknown_partition_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="gpus: no such partition; the site has cpu, gpu"):
        SlurmSite(CONFIG, PARTITIONS).facts({"train": "gpus"})
