"""Batch evaluation on a real Slurm: every array task is preempted halfway, and nothing is generated twice."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dev_cluster.cluster import DevCluster
from dev_cluster.processes import wait_until
from dev_cluster.site import Site
from entries import named
from patience import HANGS_AFTER_SECONDS
from sampling import SAMPLE
from world import World

from callbacks.shared import events
from callbacks.shared.journal import read_journal
from jobs.spec.paths import RunPaths

SHARDS, RECORDS = 2, 32
FREEZING = "freezing_engine.FreezingEngine"
ONE_A_BATCH = "regrow.evaluate.token_budget"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from data_prep.synthetic import write_synthetic

    folder = tmp_path_factory.mktemp("records")
    return write_synthetic(folder, positives=1, negatives=1, validation=RECORDS, seed=8)["hawks_val"]


@pytest.fixture(scope="module")
def trained(world: World) -> str:
    """A finished run with checkpoints at the steps 2, 4 and 6."""
    settings = {"max_steps": 6, "save_steps": 2, "save_total_limit": 3, "eval_steps": 6,
                "regrow.generation_eval": "null", "regrow.evaluate.max_new_tokens": 1}  # fmt: skip
    done = world.submit("trained", *(f"{key}={value}" for key, value in settings.items()))
    assert done.returncode == 0, done.stdout + done.stderr
    return "trained"


@dataclass(frozen=True)
class Evaluation:
    """An evaluation, as its journal shows it."""

    paths: RunPaths
    parts: int
    frozen_folder: Path

    def entries(self, *names: str) -> list[Any]:
        """The events of these names."""
        return named(read_journal(self.paths.journal), *names)

    def parts_with(self, *names: str, **fields: str) -> set[int]:
        return {e.part for e in self.entries(*names) if all(getattr(e, key) == value for key, value in fields.items())}

    def finished(self) -> set[int]:
        return self.parts_with("stage_finished", stage="evaluate")

    def running(self) -> set[int]:
        """Parts whose newest attempt has neither left nor finished."""
        newest = {e.part: e for e in self.entries("stage_started", "left", "stage_finished") if e.stage == "evaluate"}
        return {part for part, entry in newest.items() if isinstance(entry, events.StageStarted)}

    def predictions(self) -> dict[str, bytes]:
        """Each model's merged predictions."""
        return {path.parent.name: path.read_bytes() for path in self.paths.evaluations.glob("*/predictions.jsonl")}

    def frozen(self, *, ever: bool = False) -> set[int]:
        """Parts that are frozen after their first batch at this moment; with `ever`, also those that were frozen before."""
        pids = {int(mark.name): mark.read_text() for mark in self.frozen_folder.iterdir()}
        return {part for part, pid in pids.items() if ever or (pid and _is_stopped(pid))}


def _is_stopped(pid: str) -> bool:
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:  # the process has ended
        return False


@pytest.fixture
def evaluate(world: World, records: Path, tmp_path: Path) -> Iterator[Callable[..., Evaluation]]:
    """Types `regrow evaluate MODELS`. With a cluster: as an array on its preemptible nodes, where each part freezes once."""

    def typed(
        name: str,
        *models: str,
        cluster: DevCluster | None = None,
        shards: int = SHARDS,
        settings: dict[str, object],
    ) -> Evaluation:
        where: dict[str, object] = {"runs_root": world.runs_root, "tracking_uri": world.tracking_uri}
        environment = {}
        if cluster:
            environment = {"REGROW_TEST_FROZEN": str(tmp_path), "PYTHONPATH": str(Path(__file__).parent)}
            where |= {"slurm_conf": cluster.conf, "evaluate.slurm_partition": "gpu-preempt", "evaluate.gpus_per_node": 1,
                      "evaluate.cpus_per_task": 1, "regrow.evaluate.engine": FREEZING}  # fmt: skip
        flags = [f for key, value in {**where, **settings}.items() for f in ("--set", f"{key}={value}")]
        done = world.regrow("evaluate", *models, "--data", str(records), "--shards", str(shards), "--name", name,
                            "--cluster", "dev" if cluster else "local", *flags, environment=environment)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        paths = RunPaths(world.runs_root / name)
        evaluated = json.loads(paths.run_json.read_bytes())["evaluation"]["models"]
        return Evaluation(paths, len(evaluated) * shards, tmp_path)

    yield typed


def assert_tables_stand_in_mlflow_under_the_run_that_trained(world: World, trained: str) -> None:
    """Assert that each checkpoint of the evaluation `taken` has a nested run with its table, and that one of them is the best."""
    from mlflow import MlflowClient

    client = MlflowClient(world.tracking_uri)
    experiment = client.get_experiment_by_name("regrow-demo")
    (parent,) = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{trained}'")
    nested = client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    of_taken = {run.info.run_name: run for run in nested if run.info.run_name.startswith("taken/")}
    assert sorted(of_taken) == [f"taken/trained-checkpoint-{step}" for step in (2, 4, 6)]
    for run in of_taken.values():
        assert run.info.status == "FINISHED"
        table = json.loads(Path(client.download_artifacts(run.info.run_id, "predictions.json")).read_text())
        assert len(table["data"]) == RECORDS
        assert {"expected", "generated", "errors"} <= set(table["columns"])
        names = ["", "/low", "/high"]
        assert {f"evaluate/gen_json_parse_rate{name}" for name in names} <= run.data.metrics.keys()
    assert sum(run.data.tags.get("regrow.best_checkpoint") == "true" for run in of_taken.values()) == 1


def test_array_whose_every_task_is_preempted_gives_what_an_undisturbed_run_gives(
    world: World, trained: str, cluster: DevCluster, evaluate: Callable[..., Evaluation]
) -> None:
    settings = {ONE_A_BATCH: 1, "regrow.evaluate.max_new_tokens": 12}
    calm = evaluate("calm", trained, "--checkpoints", "all", settings=settings)
    cluster.up(Site())
    settings["evaluate.slurm_array_parallelism"] = 4
    taken = evaluate("taken", trained, "--checkpoints", "all", cluster=cluster, settings=settings)
    assert preempt_every_part(taken, cluster) <= 4
    assert taken.predictions() == calm.predictions()
    assert len(taken.predictions()) == 3
    assert_each_record_once(taken, 3 * RECORDS)
    requeued = {entry.job_id for entry in taken.entries("requeued")}
    assert len(requeued) == taken.parts and all("_" in job_id for job_id in requeued)  # array tasks, not the array
    assert len(taken.entries("submitted")) == 2  # the array and the report
    wait_until(
        lambda: not cluster.run("squeue", "--noheader").stdout, HANGS_AFTER_SECONDS, "the report's last word to MLflow"
    )
    assert_tables_stand_in_mlflow_under_the_run_that_trained(world, trained)


def preempt_every_part(taken: Evaluation, cluster: DevCluster) -> int:
    """Take the nodes away whenever all parts that run for the first time are frozen, until every part was; wait for the report.

    Returns:
        The most parts that ran at a time.
    """
    most = 0

    def preempt_all() -> bool:
        """Take the nodes away once all parts that run for the first time are frozen. True: every part was frozen, and none is."""
        nonlocal most
        running, frozen = taken.running(), taken.frozen()
        most = max(most, len(running))
        if frozen and frozen >= running - taken.parts_with("left"):
            cluster.preempt()
            wait_until(lambda: not frozen & taken.frozen(), HANGS_AFTER_SECONDS, "the frozen tasks to leave")
        return taken.frozen(ever=True) == set(range(taken.parts)) and not taken.frozen()

    wait_until(preempt_all, HANGS_AFTER_SECONDS, "every array task to be preempted")
    wait_until(lambda: bool(taken.entries("run_ended")), HANGS_AFTER_SECONDS, "the report")
    return most


def assert_each_record_once(taken: Evaluation, records: int) -> None:
    """Assert that each batch was generated once, and that every part continued where it was stopped."""
    generated = Counter((entry.part, entry.batch) for entry in taken.entries("generated"))
    assert set(generated.values()) == {1}
    assert sum(entry.records for entry in taken.entries("generated")) == records
    continued = [entry for entry in taken.entries("part_began") if entry.done]
    assert len({entry.part for entry in continued}) == taken.parts


@pytest.mark.skipif(SAMPLE != "all", reason="each start of vLLM takes half a minute; REGROW_SAMPLE=all runs it")
def test_array_with_vllm_gives_what_an_undisturbed_run_gives(
    vllm: Path, world: World, dense: Path, cluster: DevCluster, evaluate: Callable[..., Evaluation]
) -> None:
    run = ("max_steps=4", "save_steps=4", "eval_strategy=null", "eval_steps=null", "regrow.generation_eval=null",
           f"base_model={dense}", "lora_target_parameters=null", "regrow.evaluate.max_new_tokens=1")  # fmt: skip
    done = world.submit("dense", *run)
    assert done.returncode == 0, done.stdout + done.stderr
    settings = {ONE_A_BATCH: 1000, "regrow.evaluate.max_new_tokens": 12, "evaluate.python": vllm}
    calm = evaluate("calm-vllm", "dense", settings=settings | {"regrow.evaluate.engine": "vllm"})
    cluster.up(Site())
    settings["regrow.evaluate.engine"] = "freezing_vllm.FreezingVllm"
    taken = evaluate("taken-vllm", "dense", cluster=cluster, settings=settings)
    preempt_every_part(taken, cluster)
    assert taken.predictions() == calm.predictions()
    assert_each_record_once(taken, RECORDS)


def test_elements_that_a_site_cancels_are_succeeded_and_the_report_waits_for_them(
    trained: str, cluster: DevCluster, evaluate: Callable[..., Evaluation]
) -> None:
    cluster.up(Site(preempt_mode="CANCEL", grace_time=0, max_array_size=2, accounting=False))
    settings = {ONE_A_BATCH: 1, "regrow.evaluate.max_new_tokens": 4}
    run = evaluate("cancelled", trained, cluster=cluster, shards=3, settings=settings)
    arrays = [entry.parts for entry in run.entries("submitted") if entry.stage == "evaluate"]
    assert arrays == [(0, 1), (2,)]  # split at MaxArraySize
    wait_until(lambda: len(run.frozen()) == 3, HANGS_AFTER_SECONDS, "all parts to freeze")
    cluster.preempt()
    wait_until(lambda: bool(run.entries("run_ended")), HANGS_AFTER_SECONDS, "the report")
    successors = [entry for entry in run.entries("submitted") if entry.successor_of]
    assert sorted(part for entry in successors for part in entry.parts) == [0, 1, 2]
    (ended,) = run.entries("run_ended")
    assert ended.status == "FINISHED"
    assert len(next(iter(run.predictions().values())).splitlines()) == RECORDS
