"""The dev cluster: one command brings it up, a second one changes nothing, its options reach Slurm, and `down` leaves nothing."""

import json
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
from dev_cluster.cluster import DevCluster, DevClusterError
from dev_cluster.daemons import missing_packages
from dev_cluster.processes import daemons, tasks, wait_until
from dev_cluster.site import NODES, Site
from patience import HANGS_AFTER_SECONDS
from world import World

QUICK = Site(accounting=False)


def config(cluster: DevCluster) -> dict[str, str]:
    lines = cluster.run("scontrol", "show", "config").stdout.splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}


def partition(cluster: DevCluster, name: str) -> dict[str, str]:
    words = cluster.run("scontrol", "show", "partition", "--oneliner", name).stdout.split()
    return dict(word.split("=", 1) for word in words)


def test_cluster_with_accounting_runs_a_job_and_accounts_for_it(cluster: DevCluster) -> None:
    assert cluster.up(Site())
    assert not cluster.up(Site())
    assert cluster.idle_nodes() == set(NODES)
    done = cluster.run("srun", "--partition=gpu", "--gres=gpu:2", "printenv", "CUDA_VISIBLE_DEVICES")
    assert done.stdout.strip() == "0,1", done.stderr
    show = ("sacct", "--noheader", "--allocations", "--parsable2", "--format=State")
    wait_until(
        lambda: cluster.run(*show).stdout.strip() == "COMPLETED",
        HANGS_AFTER_SECONDS,
        "the job's record in the accounting",
    )


def test_down_leaves_no_process_and_no_file(cluster: DevCluster) -> None:
    cluster.up(Site())
    job = cluster.run("sbatch", "--parsable", "--partition=gpu-preempt", "--output=/dev/null", "--wrap=sleep 1000")
    assert job.returncode == 0, job.stderr
    wait_until(lambda: bool(tasks(cluster.folder)), HANGS_AFTER_SECONDS, "the job's task")
    assert cluster.down()
    assert not daemons(cluster.folder)
    assert not tasks(cluster.folder)
    assert not cluster.folder.exists()
    assert not cluster.down()


def test_options_are_the_sites(cluster: DevCluster) -> None:
    cluster.up(Site(user_signal=False, grace_time=0, preempt_mode="CANCEL", job_requeue=False, accounting=False,
                    max_array_size=11, cred_expire=7, kill_wait=9))  # fmt: skip
    found = config(cluster)
    assert "preempt_send_user_signal" not in found["SlurmctldParameters"]
    assert (found["JobRequeue"], found["MaxArraySize"], found["KillWait"]) == ("0", "11", "9 sec")
    assert "cred_expire=7" in found["AuthInfo"]
    assert found["AccountingStorageType"] == "accounting_storage/none"
    preemptible = partition(cluster, "gpu-preempt")
    assert (preemptible["GraceTime"], preemptible["PreemptMode"]) == ("0", "CANCEL")


def test_other_options_while_it_is_up_are_refused(cluster: DevCluster) -> None:
    cluster.up(QUICK)
    with pytest.raises(DevClusterError, match="dev-cluster down"):
        cluster.up(Site(accounting=False, grace_time=3))


def test_missing_packages_are_named_with_what_to_type(cluster: DevCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("dev_cluster.daemons.SBIN", "/nowhere")
    assert missing_packages(QUICK) == ["slurmctld", "slurmd", "slurm-client", "munge"]
    with pytest.raises(DevClusterError, match="apt-get install"):
        cluster.up(Site())


def test_command_line_brings_it_up_and_down(cluster: DevCluster, world: World) -> None:
    folder = ("--folder", str(cluster.folder))
    up = world.regrow("dev-cluster", "up", "--no-accounting", "--grace-time", "3", *folder)
    assert up.returncode == 0, up.stderr
    assert f"export SLURM_CONF={cluster.conf}" in up.stdout
    shown = world.regrow("dev-cluster", "status", *folder)
    assert "grace_time=3" in shown.stdout
    assert "gpu-preempt" in shown.stdout
    nothing = world.regrow("dev-cluster", "preempt", *folder)
    assert (nothing.returncode, "nothing to preempt" in nothing.stderr) == (1, True)
    sleeper = cluster.run("sbatch", "--parsable", "--partition=gpu-preempt", "--gres=gpu:1", "--job-name=sleeper",
                          "--output=/dev/null", "--wrap=sleep 100").stdout.strip()  # fmt: skip
    wait_until(lambda: bool(cluster.preemptable_jobs()), HANGS_AFTER_SECONDS, "the job's start")
    preempted = world.regrow("dev-cluster", "preempt", *folder)
    assert preempted.stdout.endswith(f"takes the nodes of {sleeper} (sleeper)\n")
    assert world.regrow("dev-cluster", "down", *folder).returncode == 0
    down = world.regrow("dev-cluster", "status", *folder)
    assert down.returncode == 1
    assert "hint: `regrow dev-cluster up`" in down.stdout


def test_refused_job_cancels_those_before_it(cluster: DevCluster, world: World) -> None:
    cluster.up(QUICK)
    done = world.submit("refused", f"slurm_conf={cluster.conf}", "train.timeout_min=100000", cluster="dev")
    assert done.returncode == 2
    assert "train: sbatch rejected the job" in done.stderr
    assert "the run's other jobs (1) are cancelled\nhint: when Slurm accepts all jobs: regrow resume" in done.stderr
    assert "Traceback" not in done.stderr
    states = cluster.run("squeue", "--noheader", "--states=all", "--format=%j %T").stdout.splitlines()
    assert states == ["refused-prepare CANCELLED"]


def test_unknown_partition_and_no_slurm_are_config_errors(cluster: DevCluster, world: World) -> None:
    absent = world.submit("absent", f"slurm_conf={cluster.conf}", cluster="dev")
    assert absent.returncode == 2
    assert "Slurm does not answer" in absent.stderr
    cluster.up(QUICK)
    done = world.submit("nowhere", f"slurm_conf={cluster.conf}", "train.slurm_partition=gpus", cluster="dev")
    assert done.returncode == 2
    assert "train.slurm_partition: gpus: no such partition; the site has cpu, gpu, gpu-preempt" in done.stderr
    assert not (world.runs_root / "nowhere").exists()


def test_site_facts_stand_in_run_json_and_a_waiting_run_shows_and_is_cancelled(
    cluster: DevCluster, world: World
) -> None:
    cluster.up(QUICK)
    cluster.run("scontrol", "update", "PartitionName=cpu", "State=DOWN")
    secrets = {"MLFLOW_TRACKING_USERNAME": "user-of-mlflow", "MLFLOW_TRACKING_PASSWORD": "secret-of-mlflow",
               "MLFLOW_TRACKING_TOKEN": "token-of-mlflow"}  # fmt: skip
    done = world.submit("waits", f"slurm_conf={cluster.conf}", cluster="dev", environment=secrets)
    assert done.returncode == 0, done.stderr
    files = [path.read_bytes() for path in (world.runs_root / "waits").rglob("*") if path.is_file()]
    assert any(b"#SBATCH" in content for content in files)
    assert not [content for content in files for secret in secrets.values() if secret.encode() in content]
    assert "prepare   job 1" in done.stdout
    site = json.loads((world.runs_root / "waits" / "run.json").read_text())["site"]
    train = site.pop("partitions")["train"]
    assert train == {"gpu-preempt": {"preempt_mode": "REQUEUE", "grace_seconds": 10, "max_minutes": 1440}}
    assert site == {"version": site["version"], "user_signal": True, "kill_wait_seconds": 5, "job_requeue": True,
                    "cred_expire_seconds": 5, "max_array_size": 1001, "accounting": False, "expedited_requeue": False,
                    "qos": {}}  # fmt: skip
    settings = ("--set", f"runs_root={world.runs_root}")
    (status,) = json.loads(world.regrow("status", "waits", "--json", *settings).stdout)
    assert status["state"] == "waiting"
    assert [(job["stage"], job["state"]) for job in status["jobs"]] == [
        ("prepare", "PENDING"), ("train", "PENDING"), ("evaluate", "PENDING"), ("report", "PENDING")
    ]  # fmt: skip
    assert "Dependency" in world.regrow("status", "waits", *settings).stdout
    again = world.regrow("resume", "waits", *settings)
    assert again.returncode == 2
    assert "has jobs in the queue" in again.stderr
    cancelled = world.regrow("cancel", "waits", *settings)
    assert cancelled.returncode == 0, cancelled.stderr
    (status,) = json.loads(world.regrow("status", "waits", "--json", *settings).stdout)
    assert status["state"] == "cancelled"
    assert "no jobs in the queue" in world.regrow("cancel", "waits", *settings).stdout


def test_site_is_plain_data() -> None:
    assert Site(**json.loads(json.dumps(asdict(Site())))) == Site()


def test_no_process_of_an_earlier_cluster_is_mistaken_for_ours(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "100"], env={"SLURM_CONF": str(tmp_path / "slurm.conf")}) as process:
        assert not tasks(tmp_path)
        process.kill()
