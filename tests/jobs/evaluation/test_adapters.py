"""Which adapters vLLM gets beside their base model, and which are merged first."""

import json
from pathlib import Path

import pytest
from world import REPO_ROOT

from jobs.evaluation.adapters import base_of, merged_because
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import RunSpec

LORA = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "bias": "none", "target_modules": ["q_proj"], "use_dora": False,
        "target_parameters": None, "modules_to_save": None, "rank_pattern": {}, "use_rslora": True}  # fmt: skip


def spec_with(*settings: str) -> RunSpec:
    return load_run_spec(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml", "local", settings)


def adapter(folder: Path, base: dict[str, object], **changed: object) -> Path:
    (folder / "base").mkdir()
    (folder / "base" / "config.json").write_text(json.dumps(base))
    (folder / "adapter").mkdir()
    content = LORA | changed | {"base_model_name_or_path": str(folder / "base")}
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps(content))
    return folder / "adapter"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({}, None),
        ({"use_dora": True}, "use_dora"),
        ({"target_parameters": ["mlp.experts.down_proj"]}, "target_parameters"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"peft_type": "LOHA"}, "peft_type"),
        ({"bias": "all"}, "bias"),
    ],
)
def test_adapter_that_vllm_would_apply_wrongly_is_merged(
    tmp_path: Path, changed: dict[str, object], named: str | None
) -> None:
    folder = adapter(tmp_path, {"model_type": "qwen3"}, **changed)
    because = merged_because(spec_with("regrow.evaluate.engine=vllm"), folder)
    assert because == (named and f"vLLM cannot apply an adapter with {named}")
    assert merged_because(spec_with(), folder) is None, "transformers joins any adapter with its base model"


def test_mixture_of_experts_is_merged_where_no_gpu_generates(tmp_path: Path) -> None:
    folder, engine = adapter(tmp_path, {"num_local_experts": 4}), "regrow.evaluate.engine=vllm"
    assert "mixture of experts" in str(merged_because(spec_with(engine), folder))
    assert merged_because(spec_with(engine, "evaluate.gpus_per_node=1"), folder) is None


def test_whole_model_is_loaded_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"num_experts": 4}))
    assert merged_because(spec_with("regrow.evaluate.engine=vllm"), tmp_path) is None
    assert base_of(tmp_path) == str(tmp_path)
