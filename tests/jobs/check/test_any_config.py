"""Configs of all kinds, written without regrow: the check makes no error that Axolotl would not make, and finds real mistakes."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

RUN = "import sys; sys.path.append('tests'); from axolotl_examples import main; sys.exit(main(sys.argv[1:]))"
BASE = {"base_model": "own/model", "micro_batch_size": 1, "gradient_accumulation_steps": 4, "learning_rate": 2.0e-4,
        "optimizer": "adamw_torch", "sequence_len": 512, "num_epochs": 1, "bf16": "auto", "output_dir": "./out",
        "datasets": [{"path": "own/data", "type": "alpaca"}]}  # fmt: skip
FSDP = {
    "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
    "fsdp_offload_params": False,
    "fsdp_state_dict_type": "FULL_STATE_DICT",
    "fsdp_transformer_layer_cls_to_wrap": "LlamaDecoderLayer",
    "fsdp_sharding_strategy": "FULL_SHARD",
}
GOOD: dict[str, dict[str, Any]] = {
    "supervised": {},
    "chat": {"datasets": [{"path": "own/chat", "type": "chat_template"}], "val_set_size": 0.05, "sample_packing": True},
    "dpo": {"rl": "dpo", "datasets": [{"path": "own/pairs", "type": "chatml.intel", "split": "train"}]},
    "dpo_own": {"rl": "dpo", "datasets": [{"path": "own/pairs", "type": {"field_prompt": "question"}}]},
    "kto": {"rl": "kto", "datasets": [{"path": "own/kto", "type": "llama3.argilla"}], "remove_unused_columns": False},
    "reward": {"reward_model": True, "model_type": "AutoModelForSequenceClassification", "num_labels": 1,
               "datasets": [{"path": "own/pairs", "type": "bradley_terry.chat_template"}]},
    "text": {"pretraining_dataset": [{"path": "own/text", "type": "pretrain"}], "datasets": None, "max_steps": 100},
    "fsdp1": {"fsdp_config": FSDP},
    "fsdp2": {"fsdp_version": 2, "fsdp_config": {"auto_wrap_policy": "TRANSFORMER_BASED_WRAP", "reshard_after_forward": True}},
    "qlora": {"adapter": "qlora", "load_in_4bit": True, "lora_r": 16, "lora_alpha": 32, "lora_target_linear": True},
    "plugins": {"plugins": ["axolotl.integrations.liger.LigerPlugin"], "liger_rope": True},
    "older_key": {"gptq_groupsize": None, "sample_packing_seq_len_multiplier": 2},
}  # fmt: skip
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt": ({"adam_eps": 1.0e-6}, "schema.unknown-key` adam_eps"),
    "elsewhere": (
        {"datasets": [{"path": "own/data", "type": "alpaca", "lora_r": 8}]},
        "schema.misplaced-key` datasets.0.lora_r",
    ),
    "no_resume": ({"save_only_model": True}, "checkpoints.model-only` save_only_model"),
    "strategy": ({"datasets": [{"path": "own/data", "type": "alpacca"}]}, "schema.value` datasets.0.type"),
    "preference": (
        {"rl": "dpo", "datasets": [{"path": "own/data", "type": "alpaca"}]},
        "schema.value` datasets.0.type",
    ),
    "refused": ({"warmup_steps": 0.1}, "schema.value` warmup_steps"),
}


@pytest.mark.train
def test_check_agrees_with_axolotl(
    tmp_path: Path, run_python: Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
) -> None:
    for name, changed in (GOOD | {name: changed for name, (changed, _) in WRONG.items()}).items():
        config = {key: value for key, value in (BASE | changed).items() if value is not None}
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    done = run_python(["-c", RUN, "--examples", str(tmp_path)])
    rows = {
        line.split("|")[1].strip(): line
        for line in done.stdout.splitlines()
        if line.startswith("| ") and ".yml" in line
    }
    assert rows.keys() == {f"{name}.yml" for name in WRONG}, done.stdout + done.stderr
    for name, (_, said) in WRONG.items():
        assert said in rows[f"{name}.yml"]
    assert "accepts it" not in rows["refused.yml"]
    assert "Axolotl refuses 1." in done.stdout
    assert "0 of these are without cause" in done.stdout
    assert done.returncode == 0
