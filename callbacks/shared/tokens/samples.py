"""Records for generation: their prompts are, token by token, those of the training. Needs Axolotl, and so torch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from callbacks.shared.prompts import Sample
from callbacks.shared.tokens.seen import IGNORED, load_records, loaded_config, tokenised

QUESTION_FIELDS = ("input", "question", "instruction", "prompt", "text")
"""Fields of a record that hold its own text, the first that there is and that is not empty."""


def samples(axolotl: Mapping[str, Any], dataset: Mapping[str, Any]) -> list[Sample]:
    """The records of one entry of `datasets` or `test_datasets`, tokenised by its own strategy.

    The answer is what a model learns last: the last assistant turn of a conversation.

    Raises:
        ValueError: a record has no answer.
    """
    rows = load_records(dataset, axolotl)
    config, tokenizer = loaded_config({**axolotl, "train_on_inputs": False}, [dataset])
    found = tokenised(config, 0, rows, tokenizer)
    return [
        sample_of(ids, labels, tokenizer, f"{dataset.get('path')}, record {number}", own_text(row, dataset))
        for number, (row, (ids, labels)) in enumerate(zip(rows, found, strict=True), 1)
    ]


def tokenised_samples(rows: Sequence[Mapping[str, Any]], tokenizer: Any) -> list[Sample]:
    """Rows that Axolotl has tokenised for the training, e.g. its validation split."""
    return [
        sample_of(row["input_ids"], row["labels"], tokenizer, f"validation record {number}")
        for number, row in enumerate(rows, 1)
    ]


def sample_of(ids: Sequence[int], labels: Sequence[int], tokenizer: Any, label: str, text: str = "") -> Sample:
    """The prompt and the answer of a tokenised record.

    Args:
        label: names the record in an error.
        text: what the answer is about; empty: the prompt, without special tokens.
    """
    for start, end in _runs(labels):
        answer = tokenizer.decode(ids[start:end], skip_special_tokens=True)
        if answer.strip():
            prompt = tuple(ids[:start])
            if not prompt:
                break
            about = text or tokenizer.decode(prompt, skip_special_tokens=True)
            return Sample(tokenizer.decode(prompt), about, answer, prompt)
    raise ValueError(f"{label}: there is no prompt with an answer in it")


def own_text(row: Mapping[str, Any], dataset: Mapping[str, Any]) -> str:
    """What the answer is about: a conversation's last message before the answer, or a field of the record."""
    messages = row.get(dataset.get("field_messages") or "messages")
    if isinstance(messages, list) and messages and isinstance(messages[0], Mapping):
        names = dataset.get("message_property_mappings") or {}
        role, content = names.get("role", "role"), names.get("content", "content")
        asked = [message for message in messages if message.get(role) not in ("assistant", "gpt", "model")]
        return _text(asked[-1].get(content)) if asked else ""
    return next((str(row[name]) for name in QUESTION_FIELDS if row.get(name)), "")


def _text(content: Any) -> str:
    """A message's text; of a message with several parts, those that are text."""
    if isinstance(content, list):
        return " ".join(str(part["text"]) for part in content if isinstance(part, Mapping) and part.get("text"))
    return str(content or "")


def _runs(labels: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The stretches of tokens that count in the loss, the last one first: start, end."""
    end = len(labels)
    while end:
        if labels[end - 1] == IGNORED:
            end -= 1
            continue
        start = end
        while start and labels[start - 1] != IGNORED:
            start -= 1
        yield start, end
        end = start
