"""`python -m jobs.export.merge RUN_DIR OUTPUT [PART]`: merges an adapter into its base model, and compares the two. Needs torch.

It is the run's final adapter, or that of a part of an evaluation.

Two things are compared, and a merge that leaves out a part of the adapter fails both. As many tensors must have changed as the
adapter has pairs of matrices; and on prompts, the merged model must answer as base and adapter do together.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM, PreTrainedModel

from callbacks.shared.prompts import Prompt
from jobs.evaluation.adapters import base_of
from jobs.evaluation.parts import FINAL, part_of_evaluation, records_file, samples_of, spec_of_model, with_settings_of
from jobs.evaluation.transformers_engine import load_tokenizer
from jobs.spec.run_spec import EvaluatedModel, RunSpec

PROMPTS = 20
MOST_DIFFERENCE = {torch.float32: 0.01, torch.bfloat16: 0.25}
"""The most that rounding may change, as a share of what the adapter changes. bfloat16 has 8 bits, and a merged weight is one
number where base and adapter are three."""
PLAIN_PROMPT = "The quick brown fox jumps over the lazy dog."


class Differs(ValueError):
    """The merged weights are not those of base and adapter."""


def merge(adapter: Path, output: Path, dtype: torch.dtype, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Merge, save, load again, compare.

    Returns:
        Numbers: of tensors, of those that changed, of prompts; and the largest difference, as a share of what the adapter
        changes.

    Raises:
        Differs: as the class says; the output stays incomplete.
    """
    tokenizer = load_tokenizer(adapter)
    base = AutoModelForCausalLM.from_pretrained(base_of(adapter), dtype=dtype)
    before = {name: _digest(tensor) for name, tensor in base.state_dict().items()}
    model = PeftModel.from_pretrained(base, str(adapter)).eval()
    wanted = _logits(model, tokenizer, prompts)
    with model.disable_adapter():
        without = _logits(model, tokenizer, prompts)
    whole = merged_model(model)
    changed = [name for name, tensor in whole.state_dict().items() if before.get(name) != _digest(tensor)]
    trained = trained_tensors(adapter)
    if len(changed) != trained:
        raise Differs(f"the adapter trains {trained} tensors, and the merge has changed {len(changed)}")
    whole.save_pretrained(output)
    tokenizer.save_pretrained(output)
    del base, model, whole
    loaded = AutoModelForCausalLM.from_pretrained(output, dtype=dtype).eval()
    found = _logits(loaded, tokenizer, prompts)
    difference = _share(found, wanted, without)
    if difference > MOST_DIFFERENCE[dtype]:
        raise Differs(
            f"the logits of the merged model differ from those of base and adapter by {difference:.0%} of what the adapter "
            f"changes; rounding explains {MOST_DIFFERENCE[dtype]:.0%}"
        )
    return {"tensors": len(before), "changed": len(changed), "prompts": len(prompts), "difference": difference}


def merged_model(model: PeftModel) -> PreTrainedModel:
    """peft's merge, for attention and for the fused parameters of experts alike. Axolotl's default merge looks for modules, and
    so leaves out the experts (0.19)."""
    merged: PreTrainedModel = model.merge_and_unload(safe_merge=True)
    return merged


def trained_tensors(adapter: Path) -> int:
    """Tensors of the base model that an adapter changes: those with a pair of matrices, unless one of the two is zero, and those
    that were trained whole."""
    pairs: dict[str, list[bool]] = {}
    whole = 0
    for file in adapter.glob("adapter_model*.safetensors"):
        with safe_open(file, "pt") as weights:
            for key in weights.keys():  # noqa: SIM118 (safe_open is no dict)
                stem, found, _ = key.partition(".lora_")
                if not found:
                    whole += 1
                elif "magnitude" not in key:
                    pairs.setdefault(stem, []).append(bool(weights.get_tensor(key).any()))
    return whole + sum(all(are_set) for are_set in pairs.values())


def _logits(model: Any, tokenizer: Any, prompts: Sequence[Prompt]) -> torch.Tensor:
    """The logits after each prompt: shape (prompts, vocabulary)."""
    rows = []
    with torch.no_grad():
        for prompt in prompts:
            tokens = tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else list(prompt)
            rows.append(model(input_ids=torch.tensor([tokens])).logits[0, -1].float())
    return torch.stack(rows)


def _share(found: torch.Tensor, wanted: torch.Tensor, without: torch.Tensor) -> float:
    """The largest difference of a prompt's logits, as a share of what the adapter changes there."""
    apart, adapters = (found - wanted).norm(dim=1), (wanted - without).norm(dim=1)
    return float((apart / adapters.clamp_min(1e-12)).max())


def _digest(tensor: torch.Tensor) -> bytes:
    return hashlib.sha256(tensor.detach().contiguous().view(torch.uint8).numpy().data).digest()


def _prompts(spec: RunSpec, model: EvaluatedModel) -> list[Prompt]:
    """Prompts of the first validation records; without any, one sentence."""
    if (file := records_file(spec)) is None:
        return [PLAIN_PROMPT]
    try:
        found = samples_of(spec, model, file)[:PROMPTS]
    except (OSError, ValueError):  # no evaluation has written the prompts
        found = []
    return [sample.for_model for sample in found] or [PLAIN_PROMPT]


def main() -> None:
    spec, output = RunSpec.load(Path(sys.argv[1])), Path(sys.argv[2])
    part = part_of_evaluation(spec, int(sys.argv[3])) if len(sys.argv) > 3 else None
    model = part.model if part else EvaluatedModel(name=FINAL, path=str(spec.paths.checkpoints))
    settings = with_settings_of(spec_of_model(spec, model), spec)
    dtype = torch.bfloat16 if settings.axolotl.get("bf16") else torch.float32
    try:
        found = merge(Path(model.path), output, dtype, _prompts(spec, model))
    except Differs as error:
        print(error)
        raise SystemExit(1) from None
    print(json.dumps(found))


if __name__ == "__main__":
    main()
