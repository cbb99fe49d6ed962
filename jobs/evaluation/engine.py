"""What generates: prompts in, answers out. One small protocol, and transformers behind it; needs torch."""

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
from jobs.spec.run_spec import RunSpec

ADAPTER = "adapter_config.json"


class Engine(Protocol):
    """Generates. The same prompts in the same batches and pieces give the same answers."""

    pieces: int
    """Into how many pieces a batch is cut so that it fits into memory; an attempt that goes on begins with what was found."""

    def __init__(self, spec: RunSpec, model: Path) -> None:
        """Load the model of a folder, by the settings of `regrow.evaluate`."""
        ...

    def batches(self, prompts: Sequence[str]) -> list[list[int]]:
        """Indices of the prompts in the batches in which they are best given to `generate`."""
        ...

    def generate(self, prompts: Sequence[str]) -> list[Generated]:
        """One answer for each prompt of a batch, in their order."""
        ...

    def peak_memory_gib(self) -> float:
        """The most memory that was in use at once: of the GPU, or without one, of the process."""
        ...

    @property
    def sampling(self) -> Mapping[str, Any] | None:
        """What the answers are drawn with; None: greedy."""
        ...


class TransformersEngine:
    """`generate` of transformers, in batches under a token budget; what does not fit into memory is halved from then on."""

    def __init__(self, spec: RunSpec, model: Path) -> None:
        """Load the model.

        Args:
            spec: the run that it was trained by: the precision, the attention, the settings of `regrow.evaluate`.
            model: a checkpoint or adapter, which is put on its base model without merging; or a whole model.
        """
        settings = spec.regrow.evaluate
        self._max_new_tokens, self._token_budget = settings.max_new_tokens, settings.token_budget
        self.sampling, self._seed = sampling_of(spec), int(spec.axolotl.get("seed") or 0)
        self._tokenizer = load_tokenizer(model)
        self._model = load_model(spec, model)
        self.pieces = 1

    def batches(self, prompts: Sequence[str]) -> list[list[int]]:
        lengths = [len(ids) for ids in self._tokenizer(list(prompts))["input_ids"]] if prompts else []
        return token_batches(lengths, self._max_new_tokens, self._token_budget)

    def generate(self, prompts: Sequence[str]) -> list[Generated]:
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

    def _generate(self, prompts: Sequence[str]) -> list[Generated]:
        if self.sampling:  # drawn by what is asked, not by what came before: a batch that is done again is the same
            torch.manual_seed(self._seed + int(hashlib.sha256("\0".join(prompts).encode()).hexdigest()[:8], 16))
        with generation_mode(self._model, self._tokenizer):
            return generate_batch(
                self._model,
                self._tokenizer,
                prompts,
                max_new_tokens=self._max_new_tokens,
                sampling=self.sampling,
            )


def token_batches(lengths: Sequence[int], max_new_tokens: int, budget: int) -> list[list[int]]:
    """Indices in batches of neighbours in length, the longest first: too much for the memory shows at once.

    Args:
        lengths: tokens of each prompt.
        budget: most tokens of a batch once all are padded to the longest and `max_new_tokens` are written; one alone may
            be longer.
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
        ValueError: there is no such engine, and no class of that dotted path.
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
    """`generate`'s arguments to draw with; None: greedy. Said in full: a model's own defaults would count otherwise."""
    settings = spec.regrow.evaluate
    return {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0} if settings.temperature else None


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """The model's own tokenizer; of an adapter without one, its base's. Where it has nothing to pad with: the end of text."""
    has_own = any(path.glob("tokenizer*"))
    tokenizer = AutoTokenizer.from_pretrained(path if has_own else base_of(path))
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def base_of(path: Path) -> str:
    """The base model of an adapter, or the model itself."""
    return str(PeftConfig.from_pretrained(path).base_model_name_or_path if (path / ADAPTER).exists() else path)


def load_model(spec: RunSpec, path: Path) -> PreTrainedModel:
    """The model, or the base model with the adapter on it, unmerged, in the training's own precision."""
    model = AutoModelForCausalLM.from_pretrained(
        base_of(path),
        dtype=torch.bfloat16 if spec.axolotl.get("bf16") else torch.float32,
        attn_implementation=spec.axolotl.get("attn_implementation"),
        device_map="auto" if torch.cuda.is_available() else None,  # over all GPUs that the job has
    )
    return PeftModel.from_pretrained(model, path) if (path / ADAPTER).exists() else model
