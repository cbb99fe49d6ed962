"""The migration plan's own YAML and JSON: the check finds exactly their faults, and names the right fix for each."""

import json
import sys
from pathlib import Path

import pytest
from world import REPO_ROOT, World

CONFIG = "tests/fixtures/migration/qwen_finetune.yml"
YAML, JSON = CONFIG, "tests/fixtures/migration/zero2.json"
ALL_NAMES = "[q_proj, k_proj, v_proj, o_proj, up_proj, down_proj, gate_proj]"
EXPECTED = {
    ("error", "schema.value", YAML, "chat_template"): "tokenizer_default",
    ("error", "schema.unknown-key", YAML, "datasets_eval"): "test_datasets",
    ("error", "schema.unknown-key", YAML, "unsloth"): "remove it",
    ("error", "schema.value", YAML, "datasets.0.type"): "type: {field_instruction: instruction",
    ("error", "schema.misplaced-key", YAML, "datasets.0.format"): "under `datasets.type:`",
    ("error", "schema.misplaced-key", YAML, "datasets.0.field_instruction"): "under `datasets.type:`",
    ("error", "schema.misplaced-key", YAML, "datasets.0.field_input"): "under `datasets.type:`",
    ("error", "schema.misplaced-key", YAML, "datasets.0.field_output"): "under `datasets.type:`",
    ("error", "schema.value", YAML, "model_type"): "remove it, and trust_remote_code with it",
    ("error", "schema.plugin", YAML, "plugins.0"): "BasePlugin",
    ("error", "schema.plugin", YAML, "plugins.1"): "BasePlugin",
    ("warning", "schema.no-evaluation", YAML, "evaluation_strategy"): "test_datasets",
    ("error", "deepspeed.no-batch-size", JSON, "train_micro_batch_size_per_gpu"): '"auto"',
    ("error", "deepspeed.no-bf16", JSON, "bf16"): '"bf16": {"enabled": "auto"}',
    ("warning", "schema.deprecated-key", YAML, "evaluation_strategy"): "`eval_strategy`",
    ("warning", "schema.deprecated-key", YAML, "flash_attention"): "attn_implementation: flash_attention_2",
    ("warning", "schema.number-as-text", YAML, "adam_epsilon"): "1.0e-8",
    ("warning", "lora.rank-changed", YAML, "lora_target_linear"): "lora_target_parameters: [mlp.experts.gate_up",
    ("warning", "deepspeed.hard-coded", JSON, "optimizer.params.lr"): '"auto"',
    ("warning", "deepspeed.optimizer", JSON, "optimizer"): "remove the whole section",
    ("warning", "deepspeed.offload", JSON, "zero_optimization.offload_optimizer"): "zero2_offload.json",
    ("warning", "memory.tight", YAML, "deepspeed"): "deepspeed_configs/zero3.json",
}  # fmt: skip


@pytest.mark.train
def test_migration_plan_gets_exactly_its_findings(world: World) -> None:
    done = world.regrow("check", str(REPO_ROOT / CONFIG), "--cluster", "a100", "--json")
    assert done.returncode == 2, done.stderr
    report = json.loads(done.stdout)
    found = {
        (f["level"], f["code"], f["place"]["file"], f["place"]["key"]): f
        for f in report["findings"]
        if f["level"] != "note"
    }
    assert found.keys() == EXPECTED.keys()
    for key, fix in EXPECTED.items():
        assert fix in found[key]["fix"], key
        assert found[key]["cost"]
    lines = (REPO_ROOT / YAML).read_text(encoding="utf-8").splitlines()
    for (_, _, file, key), finding in found.items():
        if file == YAML and finding["place"]["line"] and not key[-1].isdigit():
            assert lines[finding["place"]["line"] - 1].lstrip("- ").startswith(key.rpartition(".")[2]), key
    assert sum(report["parameters"]["trainable"].values()) == 994_836_480
    memory = report["memory"]
    assert memory["verdict"] == "tight"
    assert memory["terms"]["weights"] > 60e9  # and not 15e9: ZeRO-2 does not shard the weights


@pytest.mark.train
def test_shipped_config_has_notes_alone_and_at_its_site_one_warning(world: World) -> None:
    config = str(REPO_ROOT / "axolotl_configs" / "qwen_finetune.yml")
    anywhere = json.loads(world.regrow("check", config, "--json").stdout)
    assert {finding["level"] for finding in anywhere["findings"]} == {"note"}
    assert {finding["code"] for finding in anywhere["findings"]} == {"files.data-absent", "files.model-absent"}
    done = world.regrow("check", config, "--cluster", "a100", "--json")
    assert done.returncode == 0
    at_site = [finding["code"] for finding in json.loads(done.stdout)["findings"] if finding["level"] != "note"]
    assert at_site == ["memory.tight"]
    readme = (REPO_ROOT / "README.md").read_text(encoding="utf-8") + (REPO_ROOT / "docs" / "check.md").read_text(
        encoding="utf-8"
    )
    assert all(code in readme for code in at_site)


@pytest.mark.train
@pytest.mark.parametrize(
    ("settings", "trainable"),
    [
        (["lora_target_parameters=null"], 13_369_344),
        (["lora_target_parameters=null", "lora_target_linear=true"], 13_369_344),
        (["lora_target_parameters=null", f"lora_target_modules={ALL_NAMES}"], 994_836_480),
        ([], 642_514_944),
    ],
)  # fmt: skip
def test_trained_parameters_are_counted_exactly(world: World, settings: list[str], trainable: int) -> None:
    flags = [flag for setting in settings for flag in ("--set", setting)]
    config = str(REPO_ROOT / "axolotl_configs" / "qwen_finetune.yml")
    report = json.loads(world.regrow("check", config, "--json", *flags).stdout)
    assert sum(report["parameters"]["parameters"].values()) == 30_532_122_624
    assert sum(report["parameters"]["trainable"].values()) == trainable
    codes = {finding["code"] for finding in report["findings"]}
    assert ("lora.experts-frozen" in codes) == (trainable == 13_369_344)


@pytest.mark.train
def test_zero_3_fits_where_zero_2_is_tight(world: World) -> None:
    config = str(REPO_ROOT / "axolotl_configs" / "qwen_finetune.yml")
    zero3 = ("--set", "deepspeed=deepspeed_configs/zero3.json")
    report = json.loads(world.regrow("check", config, "--cluster", "a100", *zero3, "--json").stdout)
    assert report["memory"]["verdict"] == "fits"
    assert not [finding for finding in report["findings"] if finding["level"] != "note"]


@pytest.mark.train
def test_same_question_is_answered_from_the_cache(world: World, tmp_path: Path) -> None:
    started, python = tmp_path / "started", tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$2" >> {started}\nexec {sys.executable} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    flags = ("--cluster", "a100", "--set", f"python={python}", "--json")
    config = str(REPO_ROOT / "axolotl_configs" / "qwen_finetune.yml")
    first = world.regrow("check", config, *flags)
    probes = started.read_text(encoding="utf-8").splitlines().count("jobs.check.shared.probe")
    again = world.regrow("check", config, *flags)
    assert probes == 1, first.stdout
    assert started.read_text(encoding="utf-8").splitlines().count("jobs.check.shared.probe") == 1
    assert again.stdout == first.stdout
