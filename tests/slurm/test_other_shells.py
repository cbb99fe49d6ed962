"""A run is the same from whatever folder and shell it is submitted, and its jobs are its own, whatever their ids."""

import json
from pathlib import Path

import pytest
from dev_cluster.cluster import DevCluster
from dev_cluster.site import Site
from disturbed_run import Run
from world import World


@pytest.mark.parametrize("cluster_name", ["local", "dev"])
def test_modules_with_our_names_in_the_folder_where_one_types_are_not_ours(
    cluster: DevCluster, world: World, tmp_path: Path, cluster_name: str
) -> None:
    for name in ("callbacks", "jobs", "data_prep", "submitit"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} of another project')")
    cluster.up(Site(accounting=False))
    run = Run(f"shell-{cluster_name}", world, cluster, tmp_path)
    settings = (f"slurm_conf={cluster.conf}", "prepare.timeout_min=9") if cluster_name == "dev" else ()
    done = world.submit(
        run.name, *settings, f"regrow.prepare.sources.0.path={tmp_path}/none", cluster=cluster_name, where=tmp_path
    )
    assert "another project" not in done.stdout + done.stderr
    if cluster_name == "dev":
        assert done.returncode == 0, done.stderr
        run.wait_for_end()
    assert run.entries("stage_started", stage="prepare")
    logs = [path.read_text() for path in run.paths.slurm.rglob("*") if path.suffix in (".out", ".log")]
    assert logs and "another project" not in "".join(logs)


def test_jobs_of_another_cluster_with_the_same_ids_are_left_alone(cluster: DevCluster, world: World) -> None:
    """A new dev cluster counts its jobs from 1 again."""
    cluster.up(Site(accounting=False))
    settings = (f"slurm_conf={cluster.conf}", "prepare.slurm_additional_parameters={hold: true}")
    first, second = (Run(name, world, cluster, world.folder) for name in ("yesterday", "today"))
    assert world.submit(first.name, *settings, cluster="dev").returncode == 0
    cluster.down()
    cluster.up(Site(accounting=False))
    assert world.submit(second.name, *settings, cluster="dev").returncode == 0
    assert first.job_id("prepare") == second.job_id("prepare")
    said = world.regrow("cancel", str(first.paths.run_dir), "--cluster", "dev")
    assert said.stdout == "yesterday has no jobs in the queue\n", said.stderr
    assert second.state(second.job_id("prepare")) == "PENDING"
    (status,) = json.loads(world.regrow("status", str(first.paths.run_dir), "--json").stdout)
    assert {job["state"] for job in status["jobs"]} == {"UNKNOWN"}
    cancelled = world.regrow("cancel", str(second.paths.run_dir), "--cluster", "dev")
    assert cancelled.stdout.startswith("cancelled jobs 1, 2, 3, 4"), cancelled.stderr
    second.wait_for_end()


def test_cluster_that_is_named_as_for_sbatch_is_used_by_every_verb(cluster: DevCluster, world: World) -> None:
    cluster.up(Site())
    run = Run("named", world, cluster, world.folder)
    settings = (f"slurm_conf={cluster.conf}", "prepare.slurm_additional_parameters={hold: true}")
    unknown = world.submit("nowhere", *settings, "slurm_clusters=nowhere", cluster="dev")
    assert unknown.returncode != 0 and "nowhere" in unknown.stderr
    done = world.submit(run.name, *settings, "slurm_clusters=dev", cluster="dev")
    assert done.returncode == 0, done.stderr
    (status,) = json.loads(world.regrow("status", str(run.paths.run_dir), "--json").stdout)
    assert {job["state"] for job in status["jobs"]} == {"PENDING"}
    run.cluster.run("scontrol", "release", run.job_id("prepare"))
    run.wait_for_state("COMPLETED", "prepare")
    elsewhere = {"SLURM_CLUSTERS": "nowhere"}  # the shell's word does not change what belongs to the run
    cancelled = world.regrow("cancel", str(run.paths.run_dir), "--cluster", "dev", environment=elsewhere)
    assert cancelled.stdout.startswith("cancelled jobs"), cancelled.stderr
    run.wait_for_end()
