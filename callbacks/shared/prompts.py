"""The prompt of a record, as the training config defines it; training, generation and evaluation use this one definition."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self


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


def load_records(path: Path) -> list[dict[str, str]]:
    """Load the records of a JSON array or of JSON lines, as Axolotl's own `ds_type: json` does."""
    text = path.read_text(encoding="utf-8")
    if text.lstrip().startswith("["):
        records: list[dict[str, str]] = json.loads(text)
        return records
    return [json.loads(line) for line in text.split("\n") if line.strip()]
