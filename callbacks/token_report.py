"""Records as the trainer will see them, tokenised by Axolotl with the config's own tokenizer and template: a seeded sample for
the check, all of them when a run is prepared. Its functions need Axolotl, and so torch."""

import random
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from callbacks.prompts import PromptFormat, load_records

IGNORED = -100
"""The label of a token that is not learned (torch's CrossEntropyLoss)."""
EXAMPLES = 3


def token_report(
    axolotl: Mapping[str, Any], files: Sequence[tuple[Path, int | None]], sample: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """How long the records are, and what their labels say.

    Args:
        axolotl: the config, as far as tokens depend on it.
        files: each with how many of its records count; None: all.
        sample: how many of them are looked at; None: all.

    Returns:
        `records` looked at; `longest` and `too_long` in tokens; `cut_answers`; `unlearned` (no label at all); `wrong_labels`
        (the labels are not the answer and its end token), with examples.
    """
    from axolotl.loaders.tokenizer import load_tokenizer
    from axolotl.prompt_strategies import load
    from axolotl.prompt_strategies.user_defined import UserDefinedDatasetConfig
    from axolotl.prompt_strategies.user_defined import load as load_user_defined
    from axolotl.utils.dict import DictDefault

    config = DictDefault(dict(axolotl) | {"tokenizer_config": axolotl.get("tokenizer_config") or axolotl["base_model"]})
    dataset = axolotl["datasets"][0]
    tokenizer = load_tokenizer(config)
    kind = dataset.get("type")
    if isinstance(kind, dict):
        strategy = load_user_defined(tokenizer, config, UserDefinedDatasetConfig(**kind))
        prompt_format = PromptFormat.from_dataset(dataset)
    else:
        strategy, prompt_format = load(str(kind).split(":")[0], tokenizer, config, DictDefault(dataset)), None
    limit = int(config.sequence_len or 2048)
    report: dict[str, Any] = {
        "records": 0,
        "longest": 0,
        "too_long": 0,
        "cut_answers": 0,
        "unlearned": 0,
        "wrong_labels": 0,
        "examples": [],
    }
    strategy.max_length = strategy.sequence_len = 1 << 30  # the whole record, so that its length is known
    for number, record in _sample(files, sample, seed):
        tokens = strategy.tokenize_prompt(record)
        learned = [label for label in tokens["labels"] if label != IGNORED]
        length = len(tokens["input_ids"])
        report["records"] += 1
        report["longest"] = max(report["longest"], length)
        report["too_long"] += length > limit
        report["cut_answers"] += length > limit and any(label != IGNORED for label in tokens["labels"][:limit])
        report["unlearned"] += not learned
        if prompt_format and not axolotl.get("train_on_inputs"):
            said, meant = tokenizer.decode(learned), prompt_format.answer(record) + tokenizer.eos_token
            if said != meant:
                report["wrong_labels"] += 1
                if len(report["examples"]) < EXAMPLES:
                    report["examples"].append(f"record {number}: learns {said[-60:]!r}, meant is {meant[-60:]!r}")
    return report


def token_fault(report: Mapping[str, Any]) -> str:
    """Why nobody should train on these tokens; empty: nothing speaks against it."""
    looked_at = f"of {report['records']:,} records looked at"
    if report["wrong_labels"]:
        examples = "; ".join(report["examples"])
        return f"{report['wrong_labels']:,} {looked_at} do not teach the answer and its end: {examples}"
    return f"{report['unlearned']:,} {looked_at} teach nothing at all" if report["unlearned"] else ""


def _sample(
    files: Sequence[tuple[Path, int | None]], sample: int | None, seed: int
) -> list[tuple[int, dict[str, str]]]:
    """The records that are looked at, each with its number (from 1) over all files."""
    records = list(chain.from_iterable(load_records(path)[:take] for path, take in files))
    everything = range(len(records))
    chosen = everything if sample is None else sorted(random.Random(seed).sample(everything, min(sample, len(records))))  # noqa: S311
    return [(index + 1, records[index]) for index in chosen]
