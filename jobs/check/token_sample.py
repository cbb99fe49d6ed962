"""Records as the trainer will see them: a seeded sample, tokenised by Axolotl with the config's own tokenizer and template.
Needs Axolotl, and so torch."""

import random
from itertools import chain
from pathlib import Path
from typing import Any

from callbacks.prompts import PromptFormat, load_records

IGNORED = -100
"""The label of a token that is not learned (torch's CrossEntropyLoss)."""
EXAMPLES = 3


def sample_report(question: dict[str, Any]) -> dict[str, Any]:
    """How long the records are, and what their labels say.

    Args:
        question: `axolotl` (the keys on which tokens depend), `files` (each `path` and `take`), `sample`, `seed`.

    Returns:
        `records` looked at; `longest` and `too_long` in tokens; `cut_answers`; `unlearned` (no label at all); `wrong_labels`
        (the labels are not the answer and its end token), with examples.
    """
    from axolotl.loaders.tokenizer import load_tokenizer
    from axolotl.prompt_strategies import load
    from axolotl.prompt_strategies.user_defined import UserDefinedDatasetConfig
    from axolotl.prompt_strategies.user_defined import load as load_user_defined
    from axolotl.utils.dict import DictDefault

    config = DictDefault(question["axolotl"])
    dataset = question["axolotl"]["datasets"][0]
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
    for number, record in _sample(question):
        tokens = strategy.tokenize_prompt(record)
        learned = [label for label in tokens["labels"] if label != IGNORED]
        length = len(tokens["input_ids"])
        report["records"] += 1
        report["longest"] = max(report["longest"], length)
        report["too_long"] += length > limit
        report["cut_answers"] += length > limit and any(label != IGNORED for label in tokens["labels"][:limit])
        report["unlearned"] += not learned
        if prompt_format and not question["axolotl"].get("train_on_inputs"):
            said, meant = tokenizer.decode(learned), prompt_format.answer(record) + tokenizer.eos_token
            if said != meant:
                report["wrong_labels"] += 1
                if len(report["examples"]) < EXAMPLES:
                    report["examples"].append(f"record {number}: learns {said[-60:]!r}, meant is {meant[-60:]!r}")
    return report


def _sample(question: dict[str, Any]) -> list[tuple[int, dict[str, str]]]:
    """A seeded sample of the files' records, each with its number (from 1) over all files."""
    records = list(chain.from_iterable(load_records(Path(file["path"]))[: file["take"]] for file in question["files"]))
    chosen = sorted(random.Random(question["seed"]).sample(range(len(records)), min(question["sample"], len(records))))  # noqa: S311
    return [(index + 1, records[index]) for index in chosen]
