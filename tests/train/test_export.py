"""A finished run's model as a folder: the adapter, or merged weights that are those of base and adapter."""

import json
import subprocess
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
from world import World

from jobs.export import merge
from jobs.spec.paths import RunPaths

EXPERTS = ".mlp.experts"


def test_adapter_comes_with_its_card_and_checksums(run: RunPaths, world: World, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    done = world.regrow("export", str(run.run_dir), "--output", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=False).returncode == 0
    names = {path.name for path in folder.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "README.md"} <= names
    assert not [name for name in names if "checkpoint" in name or "ledger" in name or "predictions" in name]
    card = (folder / "README.md").read_text(encoding="utf-8")
    scores = json.loads(run.evaluation("final").scores.read_bytes())
    value = scores["metrics"]["gen_json_parse_rate"]["value"]
    for words in (
        "library_name: peft",
        "6 optimizer steps",
        f"| gen_json_parse_rate | {value:.3f}",
        "learning_rate:",
        "axolotl 0.",
    ):
        assert words in card
    again = world.regrow("export", str(run.run_dir), "--output", str(folder))
    assert (again.returncode, "is there already" in again.stderr) == (2, True)


def test_merged_weights_answer_as_base_and_adapter(run: RunPaths, world: World, tmp_path: Path) -> None:
    folder = tmp_path / "merged"
    done = world.regrow("export", str(run.run_dir), "--output", str(folder), "--merged")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tensors changed, as many as it trains" in (folder / "README.md").read_text(encoding="utf-8")
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(world.folder / "model"), run.checkpoints)
    tokens = torch.arange(5, 30)[None]
    with torch.no_grad():
        wanted = adapted(input_ids=tokens).logits
        found = AutoModelForCausalLM.from_pretrained(folder)(input_ids=tokens).logits
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def without_experts(model: PeftModel) -> None:
    """What a merge does that knows modules alone."""
    for name, parameter in model.named_parameters():
        if "lora_B" in name and EXPERTS in name:
            parameter.data.zero_()


def at_half_strength(model: PeftModel) -> None:
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data /= 2


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_experts, r"the adapter trains \d+ tensors, and the merge has changed \d+"),
        (at_half_strength, "the logits of"),
    ],
)
def test_a_wrong_merge_is_caught(
    spoil: object, message: str, run: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = merge.merged_model

    def wrong(model: PeftModel) -> object:
        spoil(model)  # type: ignore[operator]
        return right(model)

    monkeypatch.setattr(merge, "merged_model", wrong)
    with pytest.raises(merge.Differs, match=message):
        merge.merge(run.checkpoints, tmp_path / "out", torch.float32, ["one", "two"])
