"""Records as the trainer will see them: Axolotl tokenises them with the config's own tokenizer and template. The check looks at
a seeded sample, the prepare stage at all records. The functions need Axolotl, and so torch."""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain, repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from callbacks.shared.prompts import PromptFormat, load_records

IGNORED = -100
"""The label of a token that does not count in the loss (torch's CrossEntropyLoss)."""
EXAMPLES = 3
COUNTS = ("records", "too_long", "cut_answers", "unlearned", "wrong_labels")
LEAST_RECORDS = 500
"""For fewer records, starting a process costs more than it saves."""
Report = dict[str, Any]


class Counted(NamedTuple):
    """One record, and how often it occurs."""

    number: int
    """Where it occurs first, from 1."""
    times: int
    record: dict[str, str]


def token_report(
    axolotl: Mapping[str, Any],
    files: Sequence[tuple[Path, int | None]],
    sample: int | None = None,
    seed: int = 0,
    processes: int = 1,
) -> Report:
    """Measure how long the records are, and whether their labels are the answers.

    Args:
        axolotl: those keys of the config on which the tokens depend.
        files: each with the number of its records to use; None: all.
        sample: how many records to look at; None: all.
        processes: the most processes to start.

    Returns:
        Counts of records: `records` looked at, `too_long`, `cut_answers`, `unlearned` (without any label), `wrong_labels` (the
        labels are not the answer and its end token); `longest` in tokens; `examples` of wrong labels.
    """
    records = _distinct(_sample(files, sample, seed))
    count = max(1, min(processes, len(records) // LEAST_RECORDS))
    if count == 1:
        return _together([_report(axolotl, records)])
    parts = [records[first::count] for first in range(count)]
    # Forked, as datasets does it: a process that starts anew imports Axolotl for seconds. Each has a tokenizer of its own, since
    # Axolotl's prompter cannot be pickled (0.19).
    with ProcessPoolExecutor(count, mp_context=get_context("fork")) as pool:
        return _together(list(pool.map(_report, repeat(dict(axolotl)), parts)))


def token_fault(report: Mapping[str, Any]) -> str:
    """Why these tokens must not be trained on; empty: there is no reason."""
    looked_at = f"of {report['records']:,} records looked at"
    if report["wrong_labels"]:
        examples = "; ".join(report["examples"])
        return f"{report['wrong_labels']:,} {looked_at} do not teach the answer and its end: {examples}"
    return f"{report['unlearned']:,} {looked_at} teach nothing at all" if report["unlearned"] else ""


@dataclass(frozen=True)
class _Reader:
    """Tokenises as the training does."""

    strategy: Any
    """Axolotl's prompt strategy for the data set's `type`."""
    tokenizer: Any
    limit: int
    """`sequence_len`, tokens."""
    prompt_format: PromptFormat | None
    """None: the answer of a record is not known."""

    def report(self, records: Sequence[Counted]) -> Report:
        report: Report = {name: 0 for name in ("longest", *COUNTS)} | {"examples": []}
        for number, times, record in records:
            tokens = self.strategy.tokenize_prompt(record)
            learned = [label for label in tokens["labels"] if label != IGNORED]
            length = len(tokens["input_ids"])
            is_cut = length > self.limit and any(label != IGNORED for label in tokens["labels"][: self.limit])
            report["records"] += times
            report["longest"] = max(report["longest"], length)
            report["too_long"] += times * (length > self.limit)
            report["cut_answers"] += times * is_cut
            report["unlearned"] += times * (not learned)
            if self.prompt_format:
                said, meant = self.tokenizer.decode(learned), self._meant(self.prompt_format, record)
                report["wrong_labels"] += times * (said != meant)
                if said != meant and len(report["examples"]) < EXAMPLES:
                    report["examples"].append((number, f"learns {said[-60:]!r}, meant is {meant[-60:]!r}"))
        return report

    def _meant(self, prompt_format: PromptFormat, record: Mapping[str, str]) -> str:
        return prompt_format.answer(record) + str(self.tokenizer.eos_token)


def _reader(axolotl: Mapping[str, Any]) -> _Reader:
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
        prompt_format = None if axolotl.get("train_on_inputs") else PromptFormat.from_dataset(dataset)
    else:
        strategy, prompt_format = load(str(kind).split(":")[0], tokenizer, config, DictDefault(dataset)), None
    strategy.max_length = strategy.sequence_len = 1 << 30  # the whole record, so that its length is known
    return _Reader(strategy, tokenizer, int(config.sequence_len or 2048), prompt_format)


def _report(axolotl: Mapping[str, Any], records: Sequence[Counted]) -> Report:
    """As `token_report`, for some of the records; each example comes with its record's number."""
    return _reader(axolotl).report(records)


def _together(reports: Sequence[Report]) -> Report:
    """Merge several reports into one, with the first examples."""
    examples = sorted(chain.from_iterable(report["examples"] for report in reports))[:EXAMPLES]
    return {name: sum(report[name] for report in reports) for name in COUNTS} | {
        "longest": max(report["longest"] for report in reports),
        "examples": [f"record {number}: {text}" for number, text in examples],
    }


def _sample(
    files: Sequence[tuple[Path, int | None]], sample: int | None, seed: int
) -> list[tuple[int, dict[str, str]]]:
    """The records to look at, each with its number (from 1) over all files."""
    records = list(chain.from_iterable(load_records(path)[:take] for path, take in files))
    everything = range(len(records))
    chosen = everything if sample is None else sorted(random.Random(seed).sample(everything, min(sample, len(records))))  # noqa: S311
    return [(index + 1, records[index]) for index in chosen]


def _distinct(numbered: Sequence[tuple[int, dict[str, str]]]) -> list[Counted]:
    """Each record once: a curriculum repeats its positives."""
    found: dict[bytes, Counted] = {}
    for number, record in numbered:
        key = hashlib.sha256(json.dumps(record).encode()).digest()
        known = found.get(key)
        found[key] = known._replace(times=known.times + 1) if known else Counted(number, 1, record)
    return list(found.values())
