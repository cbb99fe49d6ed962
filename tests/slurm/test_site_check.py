"""`regrow check --cluster` with a real Slurm: jobs that Slurm would refuse or never start, and the effect of a preemption."""

import json
from collections.abc import Callable

import pytest
from dev_cluster.cluster import DevCluster
from dev_cluster.site import Site
from world import REPO_ROOT, World

Finder = Callable[..., dict[str, tuple[str, str]]]


@pytest.fixture
def found(world: World, cluster: DevCluster) -> Finder:
    """Check tiny_cpu.yml for the cluster. The result maps the codes about the site to the level and to what was found."""

    def check(*settings: str) -> dict[str, tuple[str, str]]:
        values = [*world.settings, f"slurm_conf={cluster.conf}", *settings]
        flags = [flag for setting in values for flag in ("--set", setting)]
        config = str(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml")
        done = world.regrow("check", config, "--cluster", "dev", "--json", *flags)
        findings = json.loads(done.stdout)["findings"]
        return {f["code"]: (f["level"], f["found"]) for f in findings if f["code"].startswith("site.")}

    return check


@pytest.mark.train
def test_site_is_looked_at(found: Finder, cluster: DevCluster) -> None:
    cluster.up(Site(accounting=False))
    good = found()
    assert {code: level for code, (level, _) in good.items()} == {"site.start": "note", "site.preemption": "note"}
    assert "PreemptMode REQUEUE, GraceTime 10 s, KillWait 5 s" in good["site.preemption"][1]
    assert "gpu-premept: no such partition" in found("train.slurm_partition=gpu-premept")["site.partition"][1]
    assert found("train.slurm_partition=cpu,gpu-preempt").keys() == good.keys()  # one that can take the job is enough
    assert "nowhere: no such partition" in found("train.slurm_partition=gpu-preempt,nowhere")["site.partition"][1]
    assert "MaxTime of gpu-preempt is 1440" in found("train.timeout_min=99999")["site.time-limit"][1]
    assert "has 4 GPUs" in found("train.gpus_per_node=8")["site.nodes"][1]
    assert "GB of memory" in found("train.mem_gb=900")["site.nodes"][1]
    assert found("train.slurm_constraint=h100")["site.refused"][0] == "error"
    slow = found("write_gb_per_s=0.000001")["site.save-does-not-fit"]
    assert "the grace period is 10 s" in slow[1]
    assert "does not answer" in found("tracking_uri=http://127.0.0.1:9")["site.mlflow"][1]
    assert found("python=/usr/bin/false")["site.python"][0] == "error"
    cluster.run("scontrol", "update", "NodeName=gpu-a100-1,gpu-a100-2", "State=DRAIN", "Reason=maintenance")
    away = found()["site.away"]
    assert (away[0], away[1].endswith("down or drained: gpu-a100-1, gpu-a100-2")) == ("warning", True)


@pytest.mark.train
def test_no_grace_and_unknown_account(found: Finder, cluster: DevCluster) -> None:
    cluster.up(Site(grace_time=0))
    said = found("train.slurm_account=nobody", "train.slurm_qos=nothing")
    assert "GraceTime 0 s" in said["site.no-grace"][1]
    assert "sacctmgr does not list it" in said["site.account"][1]
    assert "sacctmgr does not list it" in said["site.qos"][1]


@pytest.mark.train
def test_where_the_qos_decides_its_grace_counts(found: Finder, cluster: DevCluster) -> None:
    cluster.up(Site(preempt_type="qos", grace_time=7))
    assert found("write_gb_per_s=0.000001")["site.save-does-not-fit"][1].endswith("the grace period is 7 s")


@pytest.mark.train
def test_cluster_that_is_not_reachable_is_a_note(found: Finder, cluster: DevCluster) -> None:
    assert found().keys() == {"site.unchecked"}
