"""Batch evaluation with vLLM, in a Python of its own: the answers of transformers, stopped at any moment and continued."""

import json
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from dev_cluster.processes import wait_until
from entries import named
from patience import HANGS_AFTER_SECONDS
from processes_of_runs import processes_of, runs_module
from world import REGROW, World

from callbacks.shared.journal import read_journal
from jobs.spec.paths import RunPaths

RECORDS = 40
PLAIN = ("lora_target_parameters=null", "lora_dropout=0")
"""An adapter that vLLM puts beside its base model: of attention alone."""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from data_prep.synthetic import write_synthetic

    folder = tmp_path_factory.mktemp("records")
    return write_synthetic(folder, positives=1, negatives=1, validation=RECORDS, seed=8)["hawks_val"]


def train(world: World, name: str, *settings: str) -> str:
    """A finished run, with an adapter that changes the answers."""
    done = world.submit(name, "max_steps=12", "save_steps=6", "regrow.generation_eval=null", "eval_steps=12",
                        "regrow.evaluate.max_new_tokens=1", *settings)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return name


def arguments(world: World, vllm: Path, records: Path, model: str, name: str, *settings: str) -> list[str]:
    where = (f"runs_root={world.runs_root}", f"tracking_uri={world.tracking_uri}", "regrow.evaluate.max_new_tokens=24")
    engine = ("regrow.evaluate.engine=vllm", f"evaluate.python={vllm}") if name.startswith("vllm") else ()
    flags = [word for setting in (*where, *engine, *settings) for word in ("--set", setting)]
    return ["evaluate", model, "--data", str(records), "--shards", "1", "--name", name, *flags]


def answers(world: World, name: str) -> list[str]:
    (file,) = RunPaths(world.runs_root / name).evaluations.glob("*/predictions.jsonl")
    return [json.loads(line)["generated"] for line in file.read_text(encoding="utf-8").splitlines()]


def test_adapter_as_a_request_answers_as_in_transformers_and_continues_after_a_kill(
    vllm: Path, world: World, dense: Path, records: Path
) -> None:
    run = train(world, "attention", *PLAIN, f"base_model={dense}")
    small = "regrow.evaluate.token_budget=2000"
    for name in ("transformers", "vllm-calm"):
        done = world.regrow(*arguments(world, vllm, records, run, name, small))
        assert done.returncode == 0, done.stdout + done.stderr
    one, other = answers(world, "transformers"), answers(world, "vllm-calm")
    assert len(one) == RECORDS
    differing = [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]]
    assert len(differing) <= RECORDS // 100, differing
    assert len(set(one)) > 1
    assert not list((world.runs_root / "vllm-calm").rglob("merged")), "nothing was merged"

    kill_after_the_first_batch(world, arguments(world, vllm, records, run, "vllm-killed", small))
    done = world.regrow("resume", "vllm-killed", "--set", f"runs_root={world.runs_root}")
    assert done.returncode == 0, done.stdout + done.stderr
    predictions = [
        next(RunPaths(world.runs_root / name).evaluations.glob("*/predictions.jsonl")).read_bytes()
        for name in ("vllm-calm", "vllm-killed")
    ]
    assert predictions[0] == predictions[1]
    entries = read_journal(RunPaths(world.runs_root / "vllm-killed").journal)
    assert set(Counter(entry.batch for entry in named(entries, "generated")).values()) == {1}
    assert [entry.done > 0 for entry in named(entries, "part_began")] == [False, True]


def kill_after_the_first_batch(world: World, typed: list[str]) -> None:
    """Start an evaluation, and kill its generating process once a batch is on disk."""
    name = typed[typed.index("--name") + 1]
    with subprocess.Popen([str(REGROW), *typed], cwd=world.folder, env=world.environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as submission:  # fmt: skip
        assert submission.stdout is not None
        paths = RunPaths(world.runs_root / name)
        wait_until(
            lambda: bool(named(read_journal(paths.journal), "generated")), HANGS_AFTER_SECONDS, "the first batch"
        )
        (generator,) = [pid for pid in processes_of(paths.run_dir) if runs_module(pid, "jobs.evaluation.generate")]
        os.kill(generator, signal.SIGKILL)
        printed = submission.stdout.read()
    assert submission.returncode == 1, printed


def test_adapter_that_vllm_cannot_apply_is_merged_once_and_compared(vllm: Path, world: World, records: Path) -> None:
    run = train(world, "experts")
    for name in ("transformers-experts", "vllm-experts"):
        done = world.regrow(*arguments(world, vllm, records, run, name))
        assert done.returncode == 0, done.stdout + done.stderr
    one, other = answers(world, "transformers-experts"), answers(world, "vllm-experts")
    assert sum(a != b for a, b in zip(one, other, strict=True)) <= RECORDS // 100
    (merged,) = (world.runs_root / "vllm-experts").rglob("merged")
    assert list(merged.glob("*.safetensors"))
