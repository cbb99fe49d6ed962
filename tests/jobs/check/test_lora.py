"""The check of LoRA settings, on the toy mixture of experts: dropout, names that match nothing, merges."""

import json

import pytest
from world import REPO_ROOT, World

EXPERTS = "lora_target_parameters=[mlp.experts.gate_up_proj, mlp.experts.down_proj]"


@pytest.mark.train
@pytest.mark.parametrize(
    ("settings", "level", "code", "text"),
    [
        (["lora_target_modules=[q_proj, v_prog]"], "error", "lora.no-match", "v_prog"),
        ([EXPERTS.replace("down_proj", "down_prog"), "lora_dropout=0.0"], "error", "lora.no-match", "mlp.experts.down_prog"),
        ([EXPERTS, "lora_dropout=0.1"], "error", "lora.refused", "lora_dropout: 0.0"),
        (["lora_target_parameters=null", "lora_target_modules=[up_proj, down_proj, gate_proj]", "lora_dropout=0.1"],
         "warning", "lora.dropout", "lora_dropout: 0.0"),
        (["lora_target_parameters=null", "lora_target_linear=true"], "warning", "lora.experts-frozen", "lora_target_parameters"),
        ([EXPERTS, "lora_dropout=0.0", "merge_method=null"], "note", "lora.merge-drops", "merge_method: legacy"),
    ],
)  # fmt: skip
def test_adapter_that_does_not_do_what_is_meant(
    world: World, settings: list[str], level: str, code: str, text: str
) -> None:
    flags = [flag for setting in [*world.settings, *settings] for flag in ("--set", setting)]
    done = world.regrow("check", str(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml"), "--json", *flags)
    found = [finding for finding in json.loads(done.stdout)["findings"] if finding["code"] == code]
    assert found, done.stdout
    assert found[0]["level"] == level
    assert text in found[0]["found"] + found[0]["fix"]
