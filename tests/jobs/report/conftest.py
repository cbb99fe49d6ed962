"""The journal of a run with two preemptions, and the browser that reads its report."""

import os
import shutil
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from answers import SCORER, rows
from entries import entry

from callbacks.shared.journal import Entry
from jobs.evaluation.results import ModelResult, Results
from jobs.evaluation.scores import score_predictions
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import EvaluatedModel, Evaluation, RunSpec

if TYPE_CHECKING:
    from playwright.sync_api import Browser

REPO_ROOT = Path(__file__).resolve().parents[3]
SUBMITTED = 1_795_558_000.0
CHROMIUM = "chromium"
HOSTILE = "</script><img src=x onerror=window.hacked=1>\ud800 ![x](https://example.org/x)"


class JournalMaker:
    """Makes entries as regrow writes them; times are seconds after the submission."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def say(self, second: float, event: str, writer: str, /, **fields: Any) -> None:
        self.entries.append(entry(SUBMITTED + second, event, writer, **fields))

    def start(self, second: float, stage: str, job_id: str, attempt: int = 0, part: int = 0) -> None:
        self.say(second, "stage_started", f"{stage}-{job_id}-{attempt}-stage", stage=stage, part=part, job_id=job_id,
                 attempt=attempt, host="gpu-1")  # fmt: skip

    def train(self, second: float, attempt: int, first: int, last: int, target: int) -> None:
        """Add an attempt that trains from step `first` to step `last`, one step a second, and logs every fifth step."""
        self.start(second, "train", "2", attempt)
        writer = f"train-2-{attempt}-rank0"
        self.say(second + 10, "training_began", writer, step=first, target_step=target)
        for step in range(first + 1, last + 1):
            if step % 5 == 0:
                values = {"loss": 10 / step, "learning_rate": 1e-4 * (1 - step / target / 2), "grad_norm": 1.0}
                self.say(second + 10 + step - first, "metrics", writer, step=step, values=values)
        self.say(second + 10.5 + last - first, "saved", writer, step=last, checkpoint=f"checkpoint-{last}", seconds=1.0)
        self.say(second + 5, "system", f"train-2-{attempt}-mlflow", second=5, values={
            "system/system_memory_usage_megabytes": 9000.0, "system/cpu_utilization_percentage": 80.0,
            "system/gpu_0_memory_usage_megabytes": 70000.0, "system/gpu_0_utilization_percentage": 95.0})  # fmt: skip

    def leave(self, second: float, stage: str, job_id: str, cause: str, attempt: int = 0, part: int = 0) -> None:
        self.say(second, "left", f"{stage}-{job_id}-{attempt}-stage", stage=stage, part=part, cause=cause)

    def finish(self, second: float, stage: str, job_id: str, attempt: int = 0, part: int = 0) -> None:
        self.say(second, "stage_finished", f"{stage}-{job_id}-{attempt}-stage", stage=stage, part=part)

    def evaluate_part(self, second: float, part: int, parts: int) -> None:
        job_id = f"3_{part}"
        self.start(second, "evaluate", job_id, part=part)
        writer = f"evaluate-{job_id}-0-generate"
        self.say(second + 5, "part_began", writer, part=part, model="final", shard=part, shards=parts, records=9)
        self.say(second + 9, "generated", writer, part=part, batch=0, records=9, tokens=90, seconds=4.0)
        self.say(second + 9, "part_generated", writer, part=part, peak_memory_gib=1.5 + part)
        self.finish(second + 10, "evaluate", job_id, part=part)

    def done(self) -> list[Entry]:
        return sorted(self.entries, key=attrgetter("time"))


@pytest.fixture
def journal() -> JournalMaker:
    return JournalMaker()


@pytest.fixture
def spec(tmp_path: Path) -> RunSpec:
    """A run of tiny_cpu.yml in the test's folder."""
    config = REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml"
    found = load_run_spec(config, "local", [f"runs_root={tmp_path}", "train.gpus_per_node=1"], "looked-at")
    return found.model_copy(update={"submitted_at": SUBMITTED, "run_uuid": "0" * 32})


@pytest.fixture
def preempted(journal: JournalMaker) -> list[Entry]:
    """The entries of a run preempted at steps 30 and 50. The second time nothing was saved, so five steps are done again."""
    for stage, job_id in (("prepare", "1"), ("train", "2"), ("evaluate", "3"), ("report", "4")):
        journal.say(0, "submitted", "login-1-cli", stage=stage, job_id=job_id)
    journal.start(2, "prepare", "1")
    journal.finish(12, "prepare", "1")
    journal.train(20, 0, 0, 30, 80)
    journal.leave(65, "train", "2", "preempted")
    journal.train(90, 1, 30, 50, 80)
    journal.leave(125, "train", "2", "preempted", 1)
    journal.train(150, 2, 45, 80, 80)
    journal.say(196, "finished", "train-2-2-rank0", step=80, target_step=80, files=["adapter_model.safetensors"])
    journal.finish(200, "train", "2", 2)
    for second, step in ((55, 20), (110, 40), (170, 60)):
        scores = {"eval_loss": 12 / step, "gen_json_parse_rate": 0.9, "gen_offender_presence_f1": step / 100,
                  "gen_keyword_rule_presence_f1": 0.7, "gen_offender_name_set_f1": step / 200}  # fmt: skip
        journal.say(second, "metrics", f"train-2-{step // 20 - 1}-rank0", step=step, values=scores)
    for part in range(2):
        journal.evaluate_part(205, part, 2)
    journal.say(21, "environment", "train-2-0-rank0", values={"version.torch": "2.13.0", "git.commit": "abc"})
    journal.say(151, "environment", "train-2-2-rank0", values={"version.torch": "2.14.0", "git.commit": "abc"})
    journal.say(220, "run_ended", "report-4-0-stage", status="FINISHED")
    return journal.done()


@pytest.fixture(scope="session")
def evaluated() -> list[ModelResult]:
    """The results of two models on the same records. One answer contains hostile text."""
    found = []
    for seed, name in enumerate(("final", "checkpoint-40")):
        answers = rows(60, seed)
        answers[7] = answers[7] | {"generated": HOSTILE, "input": f"逮捕 {HOSTILE}", "parsed": False}
        speed = {"tokens_per_second": 120.0, "records_per_second": 4.0, "peak_memory_gib": 1.5}
        scores = score_predictions(answers, SCORER) | {"speed": speed}
        found.append(
            ModelResult(EvaluatedModel(name=name, path=f"/models/{name}", step=80), answers, scores, SUBMITTED)
        )
    return found


@pytest.fixture
def evaluation(spec: RunSpec, evaluated: list[ModelResult]) -> RunSpec:
    """A run that evaluates two models and compares them."""
    models = tuple(result.model for result in evaluated)
    update = {"evaluation": Evaluation(models=models, baseline=models[1].name), "stages": ("evaluate", "report")}
    return spec.model_copy(update=update)


@pytest.fixture
def nothing() -> Results:
    return Results([], [], [])


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Chromium without a window. If it is missing, the tests are skipped, or fail if REGROW_REQUIRE_BROWSER is set."""
    executable = shutil.which(CHROMIUM)
    if executable is None:
        text = "the report is read with a real browser; type: apt-get install --no-install-recommends chromium fonts-noto-cjk"
        if os.environ.get("REGROW_REQUIRE_BROWSER"):
            pytest.fail(text)
        pytest.skip(text)
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"] * (os.geteuid() == 0)  # root has no sandbox
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield chromium
        chromium.close()
