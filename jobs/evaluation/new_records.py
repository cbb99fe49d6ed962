"""The records of `regrow evaluate --data`: read as the training's data set, and looked at before they are queued."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from callbacks.shared.prompts import PromptFormat, load_records
from callbacks.shared.tasks.verdict import Scorer
from jobs.evaluation.parts import first_dataset, required_scorer
from jobs.spec.errors import ConfigError
from jobs.spec.run_spec import RunSpec

SOURCE_KEYS = (
    "path",
    "name",
    "split",
    "ds_type",
    "data_files",
    "revision",
    "shards",
    "shards_idx",
    "preprocess_shards",
)
"""Keys of a data set that say where its records are; the others say how they become prompts."""
FILE_KINDS = {".csv": "csv", ".parquet": "parquet", ".arrow": "arrow", ".txt": "text"}


def dataset_of(spec: RunSpec, data: Path) -> dict[str, Any]:
    """The records as a validation set, with the prompts of the config."""
    try:
        dataset = first_dataset(spec)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    kept = {key: value for key, value in dataset.items() if key not in SOURCE_KEYS}
    kind = FILE_KINDS.get("".join(data.suffixes[-1:]), "json")
    return kept | {"path": str(data.resolve()), "split": "train"} | ({} if data.is_dir() else {"ds_type": kind})


def require_records(spec: RunSpec, template: PromptFormat, data: Path) -> None:
    """Find faults in the records that would otherwise show only after everything is generated."""
    scorer = required_scorer(spec)
    try:
        records = load_records(data)
        wrong = [number for number, record in enumerate(records, 1) if _fault(record, template, scorer)]
    except FileNotFoundError:
        raise ConfigError(f"--data {data}: no such file") from None
    except KeyError as error:
        raise ConfigError(f"--data {data}: a record has no field {error}, which the models were trained with") from None
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise ConfigError(f"--data {data}: not records: {error}") from None
    if not records:
        raise ConfigError(f"--data {data}: the file holds no records")
    if wrong:
        raise ConfigError(
            f"--data {data}: {len(wrong)} of {len(records)} expected outputs are not what regrow.task describes, "
            f"the first in record {wrong[0]}: {_fault(records[wrong[0] - 1], template, scorer)}"
        )


def _fault(record: Mapping[str, Any], template: PromptFormat, scorer: Scorer) -> str:
    """Why the output of a record is no answer; empty: it is one. TypeError if a field is not text."""
    sample = template.sample(record)
    if not isinstance(sample.input, str):
        raise TypeError(f"{template.field_input} is {sample.input!r}, not text")
    try:
        scorer.judge({"input": sample.input, "expected": sample.expected, "generated": sample.expected})
    except ValueError as error:
        return str(error)
    return ""
