"""Batched generation with a causal language model: left-padded, sorted by length; the model's state is restored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase, StoppingCriteria

from callbacks.shared.predictions import Generated
from callbacks.shared.prompts import Prompt


class _StopWhen(StoppingCriteria):
    """Ends the generation of a whole batch."""

    def __init__(self, must_stop: Callable[[], bool]) -> None:
        self._must_stop = must_stop

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._must_stop(), device=input_ids.device)


@contextmanager
def generation_mode(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    """Set evaluation mode and left padding; restore both afterwards."""
    was_training, padding_side = model.training, tokenizer.padding_side
    model.eval()
    tokenizer.padding_side = "left"
    try:
        with torch.inference_mode():
            yield
    finally:
        tokenizer.padding_side = padding_side
        model.train(was_training)


def length_sorted_batches(prompts: Sequence[Prompt], batch_size: int) -> list[list[int]]:
    """Indices of `prompts` in batches of similar length, longest first: a batch that is too large for memory fails at once."""
    order = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def generate_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int,
    sampling: Mapping[str, Any] | None = None,
    must_stop: Callable[[], bool] = lambda: False,
) -> list[Generated]:
    """Generate the model's text after each prompt of one batch.

    Args:
        sampling: arguments of `generate` for drawing tokens, e.g. temperature; None: greedy.
        must_stop: called at every token; once it returns True, all texts end there.

    ZeRO-3 shards the weights. There `generate` keeps the ranks in step by itself, if every rank calls it.
    """
    inputs = encoded(tokenizer, prompts).to(model.device)
    outputs = model.generate(
        **inputs,
        max_new_tokens=max_new_tokens,
        use_cache=True,
        pad_token_id=tokenizer.pad_token_id,
        stopping_criteria=[_StopWhen(must_stop)],
        **({"do_sample": True, **sampling} if sampling else {"do_sample": False}),
    )
    new = outputs[:, inputs["input_ids"].shape[1] :]
    texts = tokenizer.batch_decode(new, skip_special_tokens=True)
    ends = torch.isin(new, _end_tokens(model).to(new.device))
    has_end = ends.any(dim=1)
    tokens = torch.where(has_end, ends.int().argmax(dim=1) + 1, new.shape[1])
    return [Generated(*each) for each in zip(texts, tokens.tolist(), (~has_end).tolist(), strict=True)]


def encoded(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt]) -> BatchEncoding:
    """`input_ids` and `attention_mask` of the prompts, padded: shape (prompts, longest)."""
    texts = [prompt for prompt in prompts if isinstance(prompt, str)]
    if len(texts) == len(prompts):
        inputs: BatchEncoding = tokenizer(texts, return_tensors="pt", padding=True)
        inputs.pop("token_type_ids", None)
        return inputs
    ids = [tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else list(prompt) for prompt in prompts]
    masks = [[1] * len(each) for each in ids]
    return tokenizer.pad({"input_ids": ids, "attention_mask": masks}, padding=True, return_tensors="pt")


def _end_tokens(model: PreTrainedModel) -> torch.Tensor:
    """The ids of the tokens at which `generate` ends a text."""
    found = model.generation_config.eos_token_id
    return torch.tensor(found if isinstance(found, list) else [] if found is None else [found], dtype=torch.long)
