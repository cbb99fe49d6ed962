"""TRL's SFTTrainer instead of Axolotl: `regrow submit CONFIG.yml --trainer trainers/trl_sft.py`.

The shape of many training scripts, with the keys of an Axolotl config: model, records with their prompts, LoRA, and what the
optimizer does. Only the two lines with `attach` are regrow's. By hand: `python trainers/trl_sft.py CONFIG.yml`.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, set_seed
from trl import SFTConfig, SFTTrainer

from callbacks import attach
from callbacks.shared.prompts import PromptFormat, load_records

SAME_NAME = (
    "output_dir", "seed", "num_train_epochs", "max_steps", "learning_rate", "warmup_steps", "weight_decay",
    "max_grad_norm", "gradient_accumulation_steps", "gradient_checkpointing", "logging_steps", "save_steps",
    "save_total_limit", "eval_steps", "eval_strategy", "save_strategy", "bf16", "deepspeed",
)  # fmt: skip
OTHER_NAME = {
    "micro_batch_size": "per_device_train_batch_size", "eval_batch_size": "per_device_eval_batch_size",
    "num_epochs": "num_train_epochs", "lr_scheduler": "lr_scheduler_type", "optimizer": "optim", "sequence_len": "max_length",
    "sample_packing": "packing", "warmup_ratio": "warmup_steps",
}  # fmt: skip
"""Axolotl's name → that of the training arguments."""


def records(config: dict[str, Any], role: str) -> Dataset | None:
    """The records of the first data set as prompts and completions; None: the config has none."""
    for entry in config.get(role) or []:
        template = PromptFormat.from_dataset(entry)
        samples = [template.sample(record) for record in load_records(Path(entry["path"]))]
        return Dataset.from_list([{"prompt": each.prompt, "completion": each.expected} for each in samples])
    return None


def main() -> None:
    config = yaml.safe_load(Path(os.environ.get("REGROW_CONFIG") or sys.argv[1]).read_text(encoding="utf-8"))
    set_seed(config["seed"])
    arguments = {key: config[key] for key in SAME_NAME if config.get(key) is not None}
    arguments |= {other: config[key] for key, other in OTHER_NAME.items() if config.get(key) is not None}
    validation = records(config, "test_datasets")
    if validation is None:
        arguments["eval_strategy"] = "no"
    four_bit = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(
        config["base_model"],
        dtype=torch.bfloat16 if config.get("bf16") else torch.float32,
        quantization_config=four_bit if config.get("load_in_4bit") else None,
    )
    adapter = LoraConfig(
        r=config["lora_r"],
        lora_alpha=config["lora_alpha"],
        lora_dropout=config.get("lora_dropout") or 0.0,
        target_modules=config["lora_target_modules"],
        target_parameters=config.get("lora_target_parameters"),
        task_type="CAUSAL_LM",
    )
    trainer = SFTTrainer(
        model,
        SFTConfig(**arguments, report_to=[]),
        train_dataset=records(config, "datasets"),
        eval_dataset=validation,
        processing_class=AutoTokenizer.from_pretrained(config["base_model"]),
        peft_config=adapter if config.get("adapter") else None,
    )
    attach(trainer)
    trainer.train()


if __name__ == "__main__":
    main()
