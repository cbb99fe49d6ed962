"""`python -m jobs.engine RUN_DIR`: the answers to a run's validation records. The evaluate stage's child; needs torch."""

import sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from callbacks.generation import generate_batch, generation_mode, length_sorted_batches
from callbacks.journal import JOURNAL_ENV, Journal
from callbacks.predictions import prediction_row, write_rows
from callbacks.prompts import PromptFormat, load_records
from jobs.launch import own_environment
from jobs.spec import RunSpec


def main() -> None:
    spec = RunSpec.load(Path(sys.argv[1]))
    journal = Journal.of_writer(own_environment(JOURNAL_ENV), "engine")
    validation = spec.axolotl["test_datasets"][0]
    prompt_format = PromptFormat.from_dataset(validation)
    records = load_records(Path(validation["path"]))
    completions = generate(spec, [prompt_format.prompt(record) for record in records], journal)
    pairs = zip(records, completions, strict=True)
    write_rows(spec.paths.predictions, [prediction_row(prompt_format, *pair, spec.regrow.target) for pair in pairs])


def generate(spec: RunSpec, prompts: list[str], journal: Journal) -> list[str]:
    """Greedy completions in the order of `prompts`, batches of similar length."""
    model, settings = load_model(spec), spec.regrow.evaluate
    tokenizer = AutoTokenizer.from_pretrained(spec.paths.checkpoints)
    completions: dict[int, str] = {}
    with generation_mode(model, tokenizer):
        for batch in length_sorted_batches(prompts, settings.batch_size):
            texts = generate_batch(
                model, tokenizer, [prompts[i] for i in batch], max_new_tokens=settings.max_new_tokens
            )
            completions.update(zip(batch, texts, strict=True))
            journal.event("progress", what="generate", done=len(completions), total=len(prompts))
    return [completions[index] for index in range(len(prompts))]


def load_model(spec: RunSpec) -> PreTrainedModel:
    """The base model with the trained adapter on it, unmerged, in the training's own precision."""
    config = spec.axolotl
    device = "cuda" if torch.cuda.is_available() else "cpu"
    base = AutoModelForCausalLM.from_pretrained(
        config["base_model"],
        dtype=torch.bfloat16 if config.get("bf16") else torch.float32,
        attn_implementation=config.get("attn_implementation"),
    ).to(device)
    return PeftModel.from_pretrained(base, spec.paths.checkpoints) if config.get("adapter") else base


if __name__ == "__main__":
    main()
