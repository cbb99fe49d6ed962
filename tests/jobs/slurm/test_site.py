"""A site's facts, read from the output of `scontrol show config`."""

import pytest

from jobs.slurm.site import Partition, SlurmSite
from jobs.spec.errors import ConfigError
from jobs.spec.site_facts import PartitionFacts

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
    assert (facts.partitions["prepare"].preempt_mode, facts.partitions["train"].grace_seconds) == ("OFF", 60)


def test_unknown_partition_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="gpus: no such partition; the site has cpu, gpu"):
        SlurmSite(CONFIG, PARTITIONS).facts({"train": "gpus"})
