"""A real Trainer that shards a small model and its adapter by FSDP2, over gloo: `python sharded_training.py FOLDER`.

It trains twice: undisturbed, and from the checkpoint of step 2. Each rank writes its share of both adapters to `RANK.pt`.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from fsdp_on_cpu import allow_fsdp_on_cpus
from peft import LoraConfig, get_peft_model
from torch.distributed.tensor import DTensor
from transformers import Qwen3Config, Qwen3ForCausalLM, Trainer, TrainingArguments

from callbacks.exact.callback_states import CallbackStates
from callbacks.exact.checkpoint_load import load_whole
from callbacks.exact.checkpoint_manifest import CheckpointManifest
from callbacks.exact.digests import Digests
from callbacks.shared.journal import Journal

FOLDER, RANK = Path(sys.argv[1]), int(os.environ["RANK"])
SHARDING = {
    "fsdp_version": 2, "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
    "transformer_layer_cls_to_wrap": ["Qwen3DecoderLayer"],
}  # fmt: skip
SHAPE: dict[str, Any] = {
    "vocab_size": 32, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 8,
}  # fmt: skip


def trained(shape: str, state_dict: str, resumed: Path | None) -> dict[str, torch.Tensor]:
    """This rank's share of the trained weights after step 4; step 2 is saved."""
    torch.manual_seed(3)
    model: Any = Qwen3ForCausalLM(Qwen3Config(**SHAPE))
    if shape == "adapter":
        model = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "o_proj"]))
    tokens = torch.randint(0, 32, (32, 8))
    arguments = TrainingArguments(
        output_dir=str(FOLDER / "checkpoints"), max_steps=4, per_device_train_batch_size=2, save_steps=2, learning_rate=0.05,
        use_cpu=True, report_to=[], seed=3, disable_tqdm=True, fsdp="full_shard",
        fsdp_config=SHARDING | {"state_dict_type": state_dict},
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=[{"input_ids": row, "labels": row} for row in tokens])
    load_whole(trainer)
    journal = Journal(FOLDER / "journal" / "train-1-0-rank0.jsonl") if RANK == 0 else None
    parts = (CallbackStates(trainer), Digests(trainer))
    trainer.add_callback(CheckpointManifest(trainer, journal, lambda: False, parts, resumed))
    trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    shares = {name: weight for name, weight in trainer.model.named_parameters() if weight.requires_grad}
    assert shares and all(isinstance(weight, DTensor) for weight in shares.values())
    return {name: weight.to_local().detach().clone() for name, weight in shares.items()}


def main() -> None:
    allow_fsdp_on_cpus()
    shape, state_dict = sys.argv[2:]
    undisturbed = trained(shape, state_dict, None)
    resumed = trained(shape, state_dict, FOLDER / "checkpoints" / "checkpoint-2")
    torch.save({"undisturbed": undisturbed, "resumed": resumed}, FOLDER / f"{RANK}.pt")


if __name__ == "__main__":
    main()
