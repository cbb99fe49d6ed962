"""Generates answers to prompts: the protocol of an engine, and what all engines share. Needs no torch."""

import pkgutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from callbacks.shared.predictions import Generated
from callbacks.shared.prompts import Prompt
from jobs.spec.run_spec import RunSpec


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


ENGINES = {
    "transformers": "jobs.evaluation.transformers_engine.TransformersEngine",
    "vllm": "jobs.evaluation.vllm_engine.VllmEngine",
}
"""The dotted path of each engine's class, since each needs packages of its own."""


def engine_class(name: str) -> type[Engine]:
    """The engine that `regrow.evaluate.engine` names.

    Raises:
        ValueError: there is no such engine, and no class at that dotted path.
    """
    try:
        found: type[Engine] = pkgutil.resolve_name(ENGINES.get(name, name))
    except (ImportError, AttributeError, ValueError) as error:
        hint = f"write {', '.join(ENGINES)}, or the dotted path of a class that the nodes can import"
        if name in ENGINES:
            hint = f"install it for {sys.executable}, or name a Python that has it as `evaluate: {{python: …}}` in the profile"
        raise ValueError(f"regrow.evaluate.engine: {name} cannot be imported: {error}\nhint: {hint}") from None
    return found


def sampling_of(spec: RunSpec) -> dict[str, Any] | None:
    """`generate`'s arguments for drawing tokens; None: greedy. All are given, because the model's own defaults would count."""
    settings = spec.regrow.evaluate
    return {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0} if settings.temperature else None
