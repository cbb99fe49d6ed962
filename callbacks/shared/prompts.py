"""The prompt of a record, as the training config defines it; training, generation and evaluation use this one definition."""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, TypeAlias

from callbacks.shared.manifest import write_atomically

GZIP = b"\x1f\x8b"
Prompt: TypeAlias = str | tuple[int, ...]
"""What a model reads before its answer: a text for the tokenizer, or tokens."""


@dataclass(frozen=True)
class Sample:
    """One record for generation."""

    prompt: str
    """The text that the model reads before its answer."""
    input: str
    """What the answer is about: the record's own text, without what every prompt has."""
    expected: str
    tokens: tuple[int, ...] | None = None
    """The prompt as the training tokenises it; None: as the tokenizer encodes `prompt`."""

    @property
    def for_model(self) -> Prompt:
        return self.prompt if self.tokens is None else self.tokens


def has_format(dataset: Mapping[str, Any]) -> bool:
    """Whether the config itself says the prompts of a data set, in Axolotl's mapping form; else its strategy makes them."""
    return isinstance(dataset.get("type"), Mapping)


@dataclass(frozen=True)
class PromptFormat:
    """The keys of Axolotl's `datasets[].type` mapping, by their own names and defaults (axolotl 0.19, user_defined.py)."""

    field_instruction: str = "instruction"
    field_input: str = "input"
    field_output: str = "output"
    format: str = "{instruction} {input} "
    no_input_format: str = "{instruction} "

    @classmethod
    def from_dataset(cls, dataset: Mapping[str, Any]) -> Self:
        """Make the format from one entry of `datasets` or `test_datasets`.

        Raises:
            ValueError: `type` is not a mapping, so that the prompts of training are not known.
        """
        kind = dataset.get("type")
        if not isinstance(kind, Mapping):
            raise ValueError(
                f"the data set {dataset.get('path')} has `type: {kind}`; generation needs the mapping form:\n"
                "  type: {field_instruction: instruction, field_input: input, field_output: output, "
                'format: "...{instruction}...{input}...", no_input_format: "...{instruction}..."}'
            )
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in kind.items() if key in known and value is not None})

    def prompt(self, record: Mapping[str, str]) -> str:
        """The text that the model reads before its answer."""
        instruction, article = record[self.field_instruction], record.get(self.field_input, "")
        template = self.format if article else self.no_input_format
        return template.format(instruction=instruction, input=article)

    def article(self, record: Mapping[str, str]) -> str:
        return record.get(self.field_input, "")

    def answer(self, record: Mapping[str, str]) -> str:
        return record[self.field_output]

    def sample(self, record: Mapping[str, str]) -> Sample:
        return Sample(self.prompt(record), self.article(record), self.answer(record))


def write_samples(path: Path, samples: Sequence[Sample]) -> None:
    """Write samples as JSON lines, completely or not at all."""
    write_atomically(path, "".join(f"{json.dumps(asdict(sample))}\n" for sample in samples))


def read_samples(path: Path) -> list[Sample]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [Sample(**row | {"tokens": None if row["tokens"] is None else tuple(row["tokens"])}) for row in rows]


def load_records(path: Path) -> list[dict[str, str]]:
    """Load the records of a JSON array or of JSON lines, plain or gzip, with or without a byte order mark.

    Raises:
        ValueError: the file is no JSON; of JSON lines, the message names the line.
    """
    content = path.read_bytes()
    if content.startswith(GZIP):
        content = gzip.decompress(content)
    text = content.decode("utf-8-sig")
    if text.lstrip().startswith("["):
        records: list[dict[str, str]] = json.loads(text)
        return records
    return [_line(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _line(number: int, line: str) -> dict[str, str]:
    try:
        record: dict[str, str] = json.loads(line)
        return record
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None
