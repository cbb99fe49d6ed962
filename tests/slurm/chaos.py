"""`make chaos`: runs every row of the table on the dev cluster, and continues where an earlier call was cut off."""

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from chaos_page import write_page
from dev_cluster.cluster import DevCluster, DevClusterError
from dev_cluster.daemons import own_version
from dev_cluster.ownership import exit_on_signals
from dev_cluster.root import VERSIONS
from dev_cluster.site import Site
from disturbed_run import Run, submit
from faulty_fs import Faults
from kept_results import KeptResults
from rows import ROWS
from scenario import Scenario
from shapes import link_model, write_shapes
from shared_files import SharedFiles
from side_by_side import side_by_side
from verdict import problems
from world import REPO_ROOT, World, build_world

ROOMS = ("jobs", "callbacks", "slurm/dev_cluster")
"""Rows are run again when code of these folders has changed."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=REPO_ROOT / "runs" / "chaos")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier calls have shown")
    parser.add_argument("--only", default="", help="rows whose name fits this regular expression")
    parser.add_argument("--workers", type=int, default=2, help="rows that run side by side; each needs a CPU")
    parser.add_argument("--slurm", choices=tuple(VERSIONS), help="the version of Slurm; default: this machine's own")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="PAGE.md",
        help="write the table as Markdown, and keep the results in PAGE.jsonl; default: only keep them, in FOLDER",
    )
    options = parser.parse_args()
    kept = options.write.with_suffix(".jsonl") if options.write else options.folder / "results.jsonl"
    results = KeptResults(kept, ROOMS, options.fresh)
    release = tuple(map(int, options.slurm.split("."))) if options.slurm else own_version()
    rows = [
        row.on(options.slurm)
        for row in ROWS
        if re.search(options.only, row.name) and row.is_for(release, options.slurm)
    ]

    def work(number: int, items: Iterator[int]) -> Generator[tuple[int, dict], None, None]:
        """Run rows on this worker's own cluster."""
        with (
            DevCluster(Path.home() / ".cache" / "regrow" / f"chaos{number}").held() as cluster,
            closing(Table(options.folder.resolve() / f"worker{number}", cluster, results.code)) as table,
        ):
            for item in items:
                row = rows[item]
                known = results.held(name=row.name, site=asdict(row.site))
                yield item, known or results.add(outcome(row, *table.run(row)))

    exit_on_signals()
    shown: dict[int, dict] = {}
    for item, result in side_by_side(work, len(rows), options.workers):
        shown[item] = result
        print(f"{len(shown)}/{len(rows)}  {line(result)}", flush=True)
        if options.write:
            write_page(options.write, results.all(), [row.name for row in ROWS])
    held = sum(result["held"] for result in shown.values())
    print(f"{held} of {len(rows)} rows held")
    return 0 if held == len(rows) else 1


def line(result: dict) -> str:
    held = "held" if result["held"] else "FAILED"
    text = f"{held:<6} {result['seconds']:4.0f} s  {result['name']}: {result['lost']} lost, by {result['requeued_by']}"
    return "\n    ".join([text, *result["problems"]])


def outcome(row: Scenario, run: Run, found: list[str], seconds: float) -> dict:
    """The result of a row, as it is kept."""
    return {
        "name": row.name,
        "held": not found,
        "problems": found,
        "seconds": seconds,
        "lost": sum(run.steps_lost()),
        "may_lose": row.lost,
        "attempts": len(run.entries("stage_started", stage="train")),
        "requeued_by": run.requeued_by(),
        "evaluate_after": run.seconds_to_next_stage(),
        "slurm": run.slurm_version(),
        "site": asdict(row.site),
    }


class Table:
    """Runs rows. It keeps the cluster up between rows of the same site, and keeps the uninterrupted runs for comparison."""

    def __init__(self, folder: Path, cluster: DevCluster, code: str = "") -> None:
        """Run the rows on `cluster`. The caller holds it and takes it down."""
        self.world = chaos_world(folder)
        self.cluster = cluster
        self._shared = dict[float, SharedFiles]()
        self.code = code
        """Identifies the code. Reference runs that other code made are made again."""

    def run(self, row: Scenario) -> tuple[Run, list[str], float]:
        shared, started = self.shared(row), time.monotonic()
        run = Run(row.slug, self.world, self.cluster, self.world.folder / "gates" / row.slug, shared)
        link_model(self.world.folder, row)
        try:
            reference = self.reference(row)
            with alone(row.site):
                started = time.monotonic()
                self.bring_up(replace(row.site, shared=str(shared.folder)) if shared else row.site)
                if row.prepares:
                    shutil.rmtree(run.paths.run_dir.parent / "prepared", ignore_errors=True)
                submit(run, row.gates, row.settings + row.reference, row.setup)
                with row.around(run):
                    row.acts(run)
                    run.wait_for_end()
            found = problems(run, row, reference)
        except (AssertionError, TimeoutError, DevClusterError) as error:
            found = [f"{type(error).__name__}: {error}"]
            run.cancel()
        finally:
            if shared:
                shared.set(Faults())
        return run, found, time.monotonic() - started

    def close(self) -> None:
        for shared in self._shared.values():
            shared.close()

    def shared(self, row: Scenario) -> SharedFiles | None:
        """The file system on which the row wants its runs; it stays for later rows."""
        if row.shared is None:
            return None
        if row.shared not in self._shared:
            self._shared[row.shared] = SharedFiles(self.world.folder / f"shared-{row.shared:g}", row.shared)
        return self._shared[row.shared]

    def bring_up(self, site: Site) -> None:
        if self.cluster.site != site:
            self.cluster.down()
        self.cluster.up(site)

    def reference(self, row: Scenario) -> Run:
        """The undisturbed run with the same settings; on any Slurm."""
        settings = row.reference
        name = f"reference{self.code}-{hashlib.sha256(repr(settings).encode()).hexdigest()[:12]}"
        run = Run(name, self.world, self.cluster, self.world.folder / "gates" / name)
        if not run.entries("run_ended"):
            self.bring_up(self.cluster.site or Site(slurm=row.site.slurm))
            submit(run, (), settings)
            run.wait_for_end()
            assert run.weights(), f"the reference run failed: {run.paths.run_dir}"
        return run


@contextmanager
def alone(site: Site) -> Iterator[None]:
    """Wait until no other row uses cgroups. The nodes of all dev clusters have the same names, and so the same cgroups: at the
    end of a job, Slurm would kill the processes of another cluster's job that has the same id."""
    if site.proctrack != "cgroup":
        yield
        return
    with (Path(tempfile.gettempdir()) / "regrow-cgroup-rows").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def chaos_world(folder: Path) -> World:
    """A world with records of several forms and a model, and with a folder for PATH that has no Slurm command except srun."""
    (folder / "only_srun").mkdir(parents=True, exist_ok=True)
    (folder / "only_srun" / "srun").unlink(missing_ok=True)
    (folder / "only_srun" / "srun").symlink_to(str(shutil.which("srun")))
    world = build_world(folder, {**os.environ, "HF_HUB_OFFLINE": "1", "AXOLOTL_DO_NOT_TRACK": "1"})
    write_shapes(folder)
    return world


if __name__ == "__main__":
    sys.exit(main())
