"""The engine that generates with transformers. Needs torch."""

import hashlib
import resource
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from callbacks.generation import generate_batch, generation_mode
from callbacks.shared.predictions import Generated
from callbacks.shared.prompts import Prompt
from jobs.evaluation.adapters import ADAPTER, base_of
from jobs.evaluation.engine import sampling_of, token_batches
from jobs.spec.run_spec import RunSpec


class TransformersEngine:
    """transformers' `generate`, in batches under a token budget. If a batch does not fit into memory, it and all later batches
    are cut into twice as many pieces."""

    def __init__(self, spec: RunSpec, model: Path) -> None:
        """Load the model.

        Args:
            spec: the run that trained the model; has the precision, the attention and the settings of `regrow.evaluate`.
            model: a checkpoint or adapter, which is put on its base model without merging; or a complete model.
        """
        settings = spec.regrow.evaluate
        self._max_new_tokens, self._token_budget = settings.max_new_tokens, settings.token_budget
        self.sampling, self._seed = sampling_of(spec), int(spec.axolotl.get("seed") or 0)
        self._tokenizer = load_tokenizer(model)
        self._model = load_model(spec, model)
        self.pieces = 1

    def batches(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        lengths = [len(self._tokenizer(each)["input_ids"]) if isinstance(each, str) else len(each) for each in prompts]
        return token_batches(lengths, self._max_new_tokens, self._token_budget)

    def generate(self, prompts: Sequence[Prompt]) -> list[Generated]:
        answers: list[Generated] = []
        while len(answers) < len(prompts):
            size = -(-len(prompts) // self.pieces)
            piece = prompts[len(answers) : len(answers) + size]
            try:
                answers += self._generate(piece)
            except RuntimeError as error:
                if not should_reduce_batch_size(error) or len(piece) == 1:
                    raise
                self.pieces *= 2
                clear_device_cache(garbage_collection=True)
        return answers

    def peak_memory_gib(self) -> float:
        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() / 2**30
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

    def _generate(self, prompts: Sequence[Prompt]) -> list[Generated]:
        if self.sampling:  # seeded by the prompts: a repeated batch gives the same answers
            torch.manual_seed(
                self._seed + int(hashlib.sha256("\0".join(map(str, prompts)).encode()).hexdigest()[:8], 16)
            )
        with generation_mode(self._model, self._tokenizer):
            return generate_batch(
                self._model,
                self._tokenizer,
                prompts,
                max_new_tokens=self._max_new_tokens,
                sampling=self.sampling,
            )


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """The model's own tokenizer; for an adapter without one, the base model's. Without a padding token: pad with end of text."""
    has_own = any(path.glob("tokenizer*"))
    tokenizer = AutoTokenizer.from_pretrained(path if has_own else base_of(path))
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def load_model(spec: RunSpec, path: Path) -> PreTrainedModel:
    """The model, or the base model with the unmerged adapter, in the training's precision."""
    model = AutoModelForCausalLM.from_pretrained(
        base_of(path),
        dtype=torch.bfloat16 if spec.axolotl.get("bf16") else torch.float32,
        attn_implementation=spec.axolotl.get("attn_implementation"),
        device_map="auto" if torch.cuda.is_available() else None,  # all GPUs of the job
    )
    return PeftModel.from_pretrained(model, path) if (path / ADAPTER).exists() else model
