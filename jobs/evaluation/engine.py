"""Generates answers to prompts: a small protocol, and its implementation with transformers. Needs torch."""

import hashlib
import pkgutil
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from peft import PeftConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from callbacks.generation import generate_batch, generation_mode
from callbacks.shared.predictions import Generated
from callbacks.shared.prompts import Prompt
from jobs.spec.run_spec import RunSpec

ADAPTER = "adapter_config.json"


class Engine(Protocol):
    """Generates answers. The same prompts in the same batches and pieces give the same answers."""

    pieces: int
    """Number of pieces into which a batch is cut, so that it fits into memory. A resumed attempt starts with the last value."""

    def __init__(self, spec: RunSpec, model: Path) -> None:
        """Load the model in a folder, with the settings of `regrow.evaluate`."""
        ...

    def batches(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Indices of the prompts, grouped into the best batches for `generate`. A prompt is a text, or tokens where only the data
        set's strategy knows it."""
        ...

    def generate(self, prompts: Sequence[Prompt]) -> list[Generated]:
        """One answer for each prompt of a batch, in the prompts' order."""
        ...

    def peak_memory_gib(self) -> float:
        """Peak memory in use, GiB: of the GPU, or of the process if there is no GPU."""
        ...

    @property
    def sampling(self) -> Mapping[str, Any] | None:
        """The arguments with which tokens are drawn; None: greedy."""
        ...


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


def token_batches(lengths: Sequence[int], max_new_tokens: int, budget: int) -> list[list[int]]:
    """Indices in batches of similar length, longest first: a batch that is too large for memory fails at once.

    Args:
        lengths: tokens of each prompt.
        budget: most tokens of a batch, when all prompts are padded to the longest and `max_new_tokens` are generated. A
            batch of a single prompt may be larger.
    """
    batches: list[list[int]] = []
    most = 0
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if not batches or len(batches[-1]) >= most:
            batches.append([])
            most = max(1, budget // (lengths[index] + max_new_tokens))
        batches[-1].append(index)
    return batches


ENGINES: dict[str, type[Engine]] = {"transformers": TransformersEngine}


def engine_class(name: str) -> type[Engine]:
    """The engine that `regrow.evaluate.engine` names.

    Raises:
        ValueError: there is no such engine, and no class at that dotted path.
    """
    if name in ENGINES:
        return ENGINES[name]
    try:
        found: type[Engine] = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        known = ", ".join(ENGINES)
        raise ValueError(
            f"regrow.evaluate.engine: {name} cannot be imported: {error}\n"
            f"hint: write {known}, or the dotted path of a class that the nodes can import"
        ) from None
    return found


def sampling_of(spec: RunSpec) -> dict[str, Any] | None:
    """`generate`'s arguments for drawing tokens; None: greedy. All are given, because the model's own defaults would count."""
    settings = spec.regrow.evaluate
    return {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0} if settings.temperature else None


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """The model's own tokenizer; for an adapter without one, the base model's. Without a padding token: pad with end of text."""
    has_own = any(path.glob("tokenizer*"))
    tokenizer = AutoTokenizer.from_pretrained(path if has_own else base_of(path))
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def base_of(path: Path) -> str:
    """The base model of an adapter, or the model itself."""
    return str(PeftConfig.from_pretrained(path).base_model_name_or_path if (path / ADAPTER).exists() else path)


def load_model(spec: RunSpec, path: Path) -> PreTrainedModel:
    """The model, or the base model with the unmerged adapter, in the training's precision."""
    model = AutoModelForCausalLM.from_pretrained(
        base_of(path),
        dtype=torch.bfloat16 if spec.axolotl.get("bf16") else torch.float32,
        attn_implementation=spec.axolotl.get("attn_implementation"),
        device_map="auto" if torch.cuda.is_available() else None,  # all GPUs of the job
    )
    return PeftModel.from_pretrained(model, path) if (path / ADAPTER).exists() else model
