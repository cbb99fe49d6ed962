"""Batched greedy generation with a causal language model: left-padded, sorted by length, the model's state restored."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, StoppingCriteria


class _StopWhen(StoppingCriteria):
    """Ends the generation of a whole batch."""

    def __init__(self, must_stop: Callable[[], bool]) -> None:
        self._must_stop = must_stop

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._must_stop(), device=input_ids.device)


@contextmanager
def generation_mode(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    """Evaluation mode and left padding, both put back afterwards."""
    was_training, padding_side = model.training, tokenizer.padding_side
    model.eval()
    tokenizer.padding_side = "left"
    try:
        with torch.inference_mode():
            yield
    finally:
        tokenizer.padding_side = padding_side
        model.train(was_training)


def length_sorted_batches(prompts: Sequence[str], batch_size: int) -> list[list[int]]:
    """Indices of `prompts` in batches of neighbours in length, longest first: too large a batch shows at once."""
    order = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def generate_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    must_stop: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Greedy completions of one batch, without the prompt and without special tokens.

    Args:
        must_stop: asked at every token; once it says yes, the completions are cut off where they are.

    Under ZeRO-3, whose weights are sharded, `generate` keeps the ranks in step by itself, as long as every rank calls it.
    """
    inputs = tokenizer(list(prompts), return_tensors="pt", padding=True).to(model.device)
    inputs.pop("token_type_ids", None)
    outputs = model.generate(
        **inputs,
        max_new_tokens=max_new_tokens,
        do_sample=False,
        use_cache=True,
        pad_token_id=tokenizer.pad_token_id,
        stopping_criteria=[_StopWhen(must_stop)],
    )
    texts: list[str] = tokenizer.batch_decode(outputs[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return texts
