"""The check finds each contradiction between the DeepSpeed file and the config. Each test makes a file with one contradiction."""

import json
from pathlib import Path
from typing import Any

import pytest
from world import REPO_ROOT

from jobs.check.deepspeed import deepspeed_findings
from jobs.check.shared.places import Places
from jobs.spec.resolve import load_run_spec

ZERO = "zero_optimization"
QWEN = REPO_ROOT / "axolotl_configs" / "qwen_finetune.yml"
GOOD: dict[str, Any] = json.loads((REPO_ROOT / "deepspeed_configs" / "zero2.json").read_text(encoding="utf-8"))


def codes(content: dict[str, Any], folder: Path, *settings: str) -> list[tuple[str, str]]:
    (folder / "zero.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    spec = load_run_spec(QWEN, "a100", [f"deepspeed={folder}/zero.json", *settings])
    return [(finding.code, finding.place.key) for finding in deepspeed_findings(spec, Places(spec))]


@pytest.mark.parametrize("name", ["zero2", "zero2_offload", "zero3"])
def test_shipped_files_have_no_error(name: str) -> None:
    spec = load_run_spec(QWEN, "a100", [f"deepspeed=deepspeed_configs/{name}.json"])
    found = [finding for finding in deepspeed_findings(spec, Places(spec)) if finding.level == "error"]
    assert found == []


@pytest.mark.parametrize(
    ("changed", "code", "key"),
    [
        ({"gradient_accumulation_steps": 4}, "deepspeed.disagrees", "gradient_accumulation_steps"),
        ({"train_micro_batch_size_per_gpu": 2}, "deepspeed.disagrees", "train_micro_batch_size_per_gpu"),
        ({"gradient_clipping": 0.5}, "deepspeed.disagrees", "gradient_clipping"),
        ({"bf16": {"enabled": False}}, "deepspeed.disagrees", "bf16.enabled"),
        ({"fp16": {"enabled": True}}, "deepspeed.disagrees", "fp16.enabled"),
        ({"zero_optimisation": {}}, "deepspeed.unknown-key", "zero_optimisation"),
        ({ZERO: {"stage": 2, "reduce_buckt_size": 1}}, "deepspeed.unknown-key", f"{ZERO}.reduce_buckt_size"),
        ({"zero_optimization": {"stage": 4}}, "deepspeed.value", "zero_optimization.stage"),
        ({"zero_optimization": 2}, "deepspeed.value", "zero_optimization"),
        ({"steps_per_print": "often"}, "deepspeed.value", "steps_per_print"),
        ({ZERO: {"stage": 2, "offload_param": {"device": "cpu"}}}, "deepspeed.value", f"{ZERO}.offload_param"),
        ({"optimizer": {"type": "AdamW", "params": {"lr": 1e-3}}}, "deepspeed.hard-coded", "optimizer.params.lr"),
    ],
)  # fmt: skip
def test_disagreements_are_found(changed: dict[str, Any], code: str, key: str, tmp_path: Path) -> None:
    assert codes(GOOD, tmp_path) == []
    assert (code, key) in codes(GOOD | changed, tmp_path)


def test_file_that_is_no_json_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "zero.json").write_text("{", encoding="utf-8")
    spec = load_run_spec(QWEN, "a100", [f"deepspeed={tmp_path}/zero.json"])
    assert [finding.code for finding in deepspeed_findings(spec, Places(spec))] == ["deepspeed.unreadable"]


def test_generation_at_evaluations_under_zero_3_is_noted() -> None:
    spec = load_run_spec(QWEN, "a100", ["deepspeed=deepspeed_configs/zero3.json"])
    assert [finding.code for finding in deepspeed_findings(spec, Places(spec))] == ["deepspeed.slow-generation"]
