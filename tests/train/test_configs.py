"""Every shipped config can be read by the library that uses it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from world import REPO_ROOT

QWEN = REPO_ROOT / "axolotl_configs" / "qwen_finetune.yml"
A100 = {"bf16": True, "fp8": False, "tf32": True, "n_gpu": 4, "n_node": 1, "compute_capability": "sm_80"}
CONFIGS = sorted((REPO_ROOT / "axolotl_configs").glob("*.yml"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_config_validates_in_the_installed_axolotl_with_a100_capabilities(config: Path) -> None:
    from axolotl.cli.config import prepare_plugins
    from axolotl.utils.config import validate_config
    from axolotl.utils.dict import DictDefault

    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    cfg = DictDefault(content)
    prepare_plugins(cfg)
    validated = validate_config(cfg, capabilities=A100, env_capabilities={"torch_version": "2.13.0"})
    assert validated.regrow["task"]["list_field"] == "offenders"
    written, kind = content["test_datasets"][0]["type"], validated.test_datasets[0]["type"]
    assert kind == written if isinstance(written, str) else kind["field_output"] == written["field_output"]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_config_has_no_key_that_axolotl_does_not_know(config: Path) -> None:
    from jobs.check.report import check_run
    from jobs.spec.resolve import load_run_spec

    report = check_run(load_run_spec(config, "local"), with_site=False)
    assert [finding for finding in report.findings if finding.code.startswith("schema.")] == []


def test_the_plugin_refuses_no_key_that_axolotl_ignores_but_every_unknown_key_of_its_own() -> None:
    from axolotl.cli.config import prepare_plugins
    from axolotl.utils.config import validate_config
    from axolotl.utils.dict import DictDefault

    cfg = DictDefault(yaml.safe_load(QWEN.read_text(encoding="utf-8")) | {"gptq_groupsize": 128})
    prepare_plugins(cfg)
    validate_config(cfg, capabilities=A100, env_capabilities={"torch_version": "2.13.0"})
    with pytest.raises(ValueError, match="evaluates"):
        validate_config(
            DictDefault(cfg | {"regrow": {"evaluates": {}}}),
            capabilities=A100,
            env_capabilities={"torch_version": "2.13.0"},
        )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base_model", "unsloth/Qwen3-30B-A3B-Instruct-2507"),
        ("sequence_len", 1536), ("sample_packing", False), ("train_on_inputs", False), ("load_in_4bit", False),
        ("lora_r", 16), ("lora_alpha", 32), ("lora_dropout", 0.0), ("num_epochs", 1.5), ("micro_batch_size", 1),
        ("gradient_accumulation_steps", 16), ("learning_rate", 2e-4), ("cosine_min_lr_ratio", 0.05), ("warmup_ratio", 0.03),
        ("weight_decay", 0.0), ("adam_epsilon", 1e-8), ("max_grad_norm", 1.0), ("eval_steps", 200), ("eval_batch_size", 1),
        ("save_steps", 200), ("save_total_limit", 3), ("bf16", True), ("tf32", True),
        ("deepspeed", "deepspeed_configs/zero2.json"),
        ("attn_implementation", "flash_attention_2"), ("gradient_checkpointing_kwargs", {"use_reentrant": False}),
    ],
)  # fmt: skip
def test_production_config_keeps_what_the_migration_document_fixes(key: str, value: Any) -> None:
    assert yaml.safe_load(QWEN.read_text(encoding="utf-8"))[key] == value


@pytest.mark.parametrize("path", sorted((REPO_ROOT / "deepspeed_configs").glob("*.json")), ids=lambda path: path.stem)
def test_deepspeed_config_is_completed_from_the_training_arguments(path: Path, tmp_path: Path) -> None:
    from deepspeed.runtime.config import DeepSpeedConfig
    from transformers import TrainingArguments
    from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

    arguments = TrainingArguments(
        str(tmp_path), per_device_train_batch_size=1, gradient_accumulation_steps=16, learning_rate=2e-4
    )
    config = HfTrainerDeepSpeedConfig(json.loads(path.read_text(encoding="utf-8")))
    config.trainer_config_process(arguments)
    config.trainer_config_finalize(arguments, _TinyModel(), num_training_steps=10)
    read = DeepSpeedConfig(config.config)
    assert read.zero_config.stage == (3 if path.stem == "zero3" else 2)
    assert read.gradient_accumulation_steps == 16
    assert (read.zero_config.offload_optimizer is not None) == (path.stem == "zero2_offload")


class _TinyModel:
    """A model with the only value that is needed to complete "auto" bucket sizes."""

    class config:
        hidden_size = 8


def test_accelerate_config_is_read_by_accelerate() -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(REPO_ROOT / "axolotl_configs" / "accelerate_config.yaml"))
    assert (config.num_processes, config.num_machines, config.mixed_precision) == (4, 1, "bf16")
    assert config.distributed_type == "MULTI_GPU"
