"""A run is the same from whatever folder and shell it is submitted."""

from pathlib import Path

import pytest
from dev_cluster.cluster import DevCluster
from dev_cluster.site import Site
from scenario import Run
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
