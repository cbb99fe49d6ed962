"""A record as the training sees it. Axolotl reads the records, and its own strategies turn them into tokens."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

IGNORED = -100
"""The label of a token that does not count in the loss (torch's CrossEntropyLoss)."""
NO_LIMIT = 1 << 30
"""Tokens: with this as `sequence_len`, Axolotl cuts nothing off, so that a record's length is known."""
PAIRS = ("dpo", "ipo", "simpo", "orpo")
"""Methods (`rl:`) that learn from a chosen and a rejected answer; kto learns from single answers."""


class Seen(NamedTuple):
    """One record as the training sees it."""

    length: int
    """Tokens; of a preference pair, with the longer answer."""
    learned: list[int]
    """The tokens that count in the loss."""
    teaches: bool
    is_cut: bool
    """Whether `sequence_len` cuts off a part of what it teaches, and not all."""


def loaded_config(axolotl: Mapping[str, Any], datasets: Sequence[Mapping[str, Any]]) -> tuple[Any, Any]:
    """The config, as Axolotl's strategies read it, and its tokenizer. No record is too long for it."""
    from axolotl.loaders.tokenizer import load_tokenizer
    from axolotl.utils.dict import DictDefault

    tokenizer_config = axolotl.get("tokenizer_config") or axolotl["base_model"]
    unlimited = {"tokenizer_config": tokenizer_config, "sequence_len": NO_LIMIT, "dataset_num_proc": 1}
    own = {"datasets": [dict(dataset) for dataset in datasets], "dataset_keep_in_memory": True}
    config = DictDefault({**axolotl, **unlimited, **own})
    return config, load_tokenizer(config)


def tokenised(config: Any, index: int, rows: Any, tokenizer: Any) -> Iterator[tuple[list[int], list[int]]]:
    """The tokens and the labels of each row, as a supervised training makes them."""
    from axolotl.utils.data.wrappers import get_dataset_wrapper

    dataset = config.datasets[index]
    base, _, style = dataset.type.partition(":") if isinstance(dataset.type, str) else (None, "", None)
    wrapped, _ = get_dataset_wrapper(dataset, tokenizer, config, base, rows, style or None)
    for row in wrapped:
        yield row["input_ids"], row.get("labels") or row["input_ids"]


def prompts(config: Any, index: int, rows: Any, tokenizer: Any, limit: int) -> Iterator[Seen]:
    """The rows as a supervised training sees them."""
    for ids, labels in tokenised(config, index, rows, tokenizer):
        learned = [label for label in labels if label != IGNORED]
        is_cut = len(ids) > limit and any(label != IGNORED for label in labels[:limit])
        yield Seen(len(ids), learned, bool(learned), is_cut)


def pairs(config: Any, index: int, rows: Any, tokenizer: Any, limit: int) -> Iterator[Seen]:
    """The rows as a training on preferences sees them: a prompt and one answer or two."""
    for row in _transformed(config, index, rows, tokenizer):
        answers = [row.get(key) for key in (("completion",) if config.rl == "kto" else ("chosen", "rejected"))]
        missing = [
            key for key, value in zip(("prompt", "answer"), (row.get("prompt"), all(answers)), strict=True) if not value
        ]
        if missing:
            raise ValueError(f"a record has no {' and no '.join(missing)} for rl: {config.rl}")
        prompt, *lengths = (
            len(tokenizer(str(text), add_special_tokens=False)["input_ids"]) for text in (row["prompt"], *answers)
        )
        yield Seen(
            prompt + max(lengths),
            [],
            len(set(map(str, answers))) == len(answers),
            prompt < limit < prompt + max(lengths),
        )


def _transformed(config: Any, index: int, rows: Any, tokenizer: Any) -> Any:
    """The rows after the data set's own transformation (ax/utils/data/rl.py, _load_split)."""
    from axolotl.prompt_strategies.dpo import load as load_dpo
    from axolotl.prompt_strategies.kto import load as load_kto
    from axolotl.prompt_strategies.orpo import load as load_orpo

    kind = config.datasets[index].type
    if not kind:
        return rows
    load = {"orpo": load_orpo, "kto": load_kto}.get(config.rl, load_dpo)
    transform = load("user_defined.default" if isinstance(kind, Mapping) else kind, config, dataset_idx=index)
    if transform is None:
        raise ValueError(f"Axolotl cannot load the strategy {kind!r} for rl: {config.rl}")
    transform = transform[0] if isinstance(transform, tuple) else transform
    more = {"tokenizer": tokenizer} if "tokenizer" in inspect.signature(transform).parameters else {}
    return (transform(dict(row), **more) for row in rows)


def load_records(dataset: Mapping[str, Any], axolotl: Mapping[str, Any]) -> Any:
    """The data set's records, read as Axolotl reads them."""
    from axolotl.utils.data.shared import load_dataset_with_config
    from axolotl.utils.dict import DictDefault
    from datasets import DatasetDict, concatenate_datasets

    names = dataset.get("name")
    parts = [load_dataset_with_config(DictDefault({**dataset, "name": name}), bool(axolotl.get("hf_use_auth_token")))
             for name in (names if isinstance(names, list) else [names])]  # fmt: skip
    chosen = [part[dataset.get("split") or "train"] if isinstance(part, DatasetDict) else part for part in parts]
    return chosen[0] if len(chosen) == 1 else concatenate_datasets(chosen)
