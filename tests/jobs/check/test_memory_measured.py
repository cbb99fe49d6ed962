"""The memory model agrees within 1 % with what processes really allocate: parameters, gradients, optimizer, master copies."""

import json
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from sampling import sampled
from world import REPO_ROOT, World

from jobs.check.report import check_run
from jobs.check.shared.deepspeed_file import deepspeed_file
from jobs.node.commands import rank_commands
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import RunSpec, write_run

TERMS = ("weights", "gradients", "optimizer", "master copies")


@dataclass(frozen=True)
class Case:
    """One setting, and the terms of the memory model that a run on a CPU can show."""

    name: str
    settings: tuple[str, ...]
    ranks: int = 1
    terms: tuple[str, ...] = TERMS


EXPERTS = ("lora_target_parameters=[mlp.experts.gate_up_proj, mlp.experts.down_proj]", "lora_dropout=0.0")
BF16 = ("bf16=true",)
FULL = ("adapter=null",)
ZERO2 = ("deepspeed=deepspeed_configs/zero2.json",)
CASES = [
    Case("lora", ()),
    Case("lora on experts, bf16", EXPERTS + BF16),
    Case("lora on experts by their names", ("lora_target_modules=[q_proj, up_proj, down_proj, gate_proj]", "lora_dropout=0.0")),
    Case("full", FULL),
    Case("full, bf16", FULL + BF16),
    Case("full, SGD", (*FULL, "optimizer=sgd")),
    Case("DDP", EXPERTS, ranks=2),
    Case("ZeRO-2", EXPERTS + ZERO2, ranks=2),
]  # fmt: skip


@pytest.mark.train
@pytest.mark.parametrize("case", [*sampled(CASES[:-2], 2), *sampled(CASES[-2:], 1)], ids=lambda case: case.name)
def test_predicted_bytes_are_those_allocated(
    case: Case, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(key, world.environment[key])
    values = [
        *world.settings,
        f"runs_root={tmp_path}",
        f"train.gpus_per_node={case.ranks}",
        f"accelerate_config={accelerate_config(case, tmp_path)}",
        "regrow.prepare.sources=[]",
        "regrow.prepare.validation=[]",
        f"datasets.0.path={world.folder}/hawks_train.json",
        f"test_datasets.0.path={world.folder}/hawks_val.json",
        f"dataset_prepared_path={tmp_path}/tokens",
        "plugins=[callbacks.plugin.RegrowPlugin, measure.WeighingPlugin]",
        "max_steps=2",
        "eval_steps=2",
        "save_steps=2",
        "regrow.generation_eval=null",
        *case.settings,
    ]
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    spec = load_run_spec(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml", "local", values, "measured")
    report = check_run(spec, with_site=False)
    assert report.errors == []
    assert report.memory is not None
    measured = train(spec, tmp_path, world)
    assert len(measured) == case.ranks
    for rank in measured:
        for term in case.terms:
            assert rank.get(term, 0) == pytest.approx(report.memory.terms[term], rel=0.01), (
                term,
                rank,
                report.memory.terms,
            )
    assert (deepspeed_file(spec) is not None) == ("zero2" in str(case.settings))


def accelerate_config(case: Case, folder: Path) -> Path:
    """The accelerate config for ranks on the CPU, with the case's precision."""
    shipped = REPO_ROOT / "axolotl_configs" / "accelerate_cpu.yaml"
    if "bf16=true" not in case.settings:
        return shipped
    path = folder / "accelerate_bf16.yaml"
    path.write_text(shipped.read_text().replace('mixed_precision: "no"', "mixed_precision: bf16"))
    return path


def train(spec: RunSpec, folder: Path, world: World) -> list[dict[str, int]]:
    """Train with all ranks of the run, and return the bytes that each rank has measured."""
    write_run(spec)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    commands = rank_commands(spec, sys.executable, str(folder / "journal"), None, port, 2, None)
    environment = world.environment | {
        "PYTHONPATH": str(Path(__file__).parent),
        "REGROW_TEST_MEASURED": str(folder / "measured.json"),
    }
    with (folder / "log").open("wb") as log:
        ranks = [
            subprocess.Popen(c.arguments, env=environment | c.environment, cwd=REPO_ROOT, stdout=log, stderr=log)
            for c in commands
        ]
        codes = [rank.wait() for rank in ranks]
    assert codes == [0] * len(ranks), (folder / "log").read_text()[-3000:]
    shutil.rmtree(spec.paths.checkpoints, ignore_errors=True)
    return [json.loads(file.read_text()) for file in sorted(folder.glob("measured.[0-9]"))]
