"""Records as the trainer will see them: Axolotl reads them and tokenises them with the config's own tokenizer and strategy. The
check looks at a seeded sample, the prepare stage at all records. The functions need Axolotl, and so torch."""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context
from typing import Any, NamedTuple

from callbacks.shared.prompts import PromptFormat
from callbacks.shared.tokens.seen import PAIRS, Seen, load_records, loaded_config, pairs, prompts

EXAMPLES = 3
COUNTS = ("records", "too_long", "cut_answers", "unlearned", "wrong_labels")
LEAST_RECORDS = 500
"""For fewer records, starting a process costs more than it saves."""
UNSEEN = {
    "streaming": "the records are read while the training runs",
    "pretraining_dataset": "the records are read while the training runs",
    "skip_prepare_dataset": "the records are tokenised while the training runs",
    "processor_type": "the records have images or sound",
    "reward_model": "the records are for a reward model",
    "process_reward_model": "the records are for a reward model",
}
"""Keys of trainings whose records nobody looks at before the training, and why."""
Report = dict[str, Any]
Dataset = dict[str, Any]
"""One entry of Axolotl's `datasets`."""


class Counted(NamedTuple):
    """One record, and how often it occurs."""

    dataset: int
    row: int
    number: int
    """Where it occurs first, from 1, over all data sets."""
    times: int


def unseen_reason(axolotl: Mapping[str, Any]) -> str:
    """Why nobody can look at the tokens of a config's records; empty: `token_report` can."""
    reasons = [reason for key, reason in UNSEEN.items() if axolotl.get(key)]
    method = axolotl.get("rl")
    if method and method not in (*PAIRS, "kto"):
        reasons.append(f"rl: {method} makes its answers while it trains")
    return next(iter(reasons), "")


def token_report(
    axolotl: Mapping[str, Any],
    datasets: Sequence[Dataset],
    takes: Sequence[int | None] = (),
    sample: int | None = None,
    seed: int = 0,
    processes: int = 1,
) -> Report:
    """Measure how long the records are, and whether their labels are the answers.

    Args:
        axolotl: those keys of the config on which the tokens depend.
        datasets: entries of Axolotl's `datasets`.
        takes: for each data set, the number of its first records to use; None, or not given: all.
        sample: how many records to look at; None: all.
        processes: the most processes to start.

    Returns:
        Counts of records: `records` looked at, `too_long`, `cut_answers`, `unlearned` (without any label; a pair with two equal
        answers), `wrong_labels` (the labels are not the answer and its end token); `longest` in tokens; `examples` of these.

    Raises:
        ValueError, OSError: a data set cannot be read.
    """
    loaded = [load_records(dataset, axolotl) for dataset in datasets]
    sizes = [
        min(take or len(data), len(data)) for data, take in zip(loaded, [*takes, *[None] * len(loaded)], strict=False)
    ]
    records = _distinct(loaded, _sample(sizes, sample, seed))
    count = max(1, min(processes, len(records) // LEAST_RECORDS))
    works = [_Work(dict(axolotl), list(datasets), loaded, records[first::count]) for first in range(count)]
    if count == 1:
        return _together([_report(works[0])])
    # Forked, as datasets does it: a process that starts anew imports Axolotl for seconds. Each has a tokenizer of its own, since
    # Axolotl's prompter cannot be pickled (0.19).
    with ProcessPoolExecutor(count, mp_context=get_context("fork")) as pool:
        return _together(list(pool.map(_report, works)))


def token_fault(report: Mapping[str, Any]) -> str:
    """Why these tokens must not be trained on; empty: there is no reason."""
    looked_at = f"of {report['records']:,} records looked at"
    if report["wrong_labels"]:
        examples = "; ".join(report["examples"])
        return f"{report['wrong_labels']:,} {looked_at} do not teach the answer and its end: {examples}"
    if report["records"] and report["unlearned"] == report["records"]:
        return f"all {report['records']:,} records looked at teach nothing at all"
    return ""


@dataclass(frozen=True)
class _Work:
    """Records for one process."""

    axolotl: dict[str, Any]
    datasets: list[Dataset]
    loaded: list[Any]
    """The data sets, as `datasets.Dataset`."""
    records: list[Counted]


def _report(work: _Work) -> Report:
    """As `token_report`, for some of the records; each example comes with its record's number."""
    limit = int(work.axolotl.get("sequence_len") or 2048)
    config, tokenizer = loaded_config(work.axolotl, work.datasets)
    report: Report = {name: 0 for name in ("longest", *COUNTS)} | {"examples": []}
    for index, dataset in enumerate(work.datasets):
        mine = [record for record in work.records if record.dataset == index]
        if not mine:
            continue
        rows = work.loaded[index].select([record.row for record in mine])
        seen = (
            pairs(config, index, rows, tokenizer, limit)
            if config.rl
            else prompts(config, index, rows, tokenizer, limit)
        )
        meant = _meanings(work.axolotl, dataset, rows, tokenizer)
        for record, each, answer in zip(mine, seen, meant, strict=False):
            _count(report, record, each, answer, tokenizer, limit)
    return report


def _count(report: Report, record: Counted, seen: Seen, answer: str | None, tokenizer: Any, limit: int) -> None:
    report["records"] += record.times
    report["longest"] = max(report["longest"], seen.length)
    report["too_long"] += record.times * (seen.length > limit)
    report["cut_answers"] += record.times * seen.is_cut
    report["unlearned"] += record.times * (not seen.teaches)
    if answer is None:
        return
    said = tokenizer.decode(seen.learned)
    if _same(said, answer):
        return
    report["wrong_labels"] += record.times
    if len(report["examples"]) < EXAMPLES:
        report["examples"].append((record.number, f"learns {said[-60:]!r}, meant is {answer[-60:]!r}"))


def _same(said: str, meant: str) -> bool:
    """Whether the labels are the answer; some tokenizers change spaces."""
    return said == meant or "".join(said.split()) == "".join(meant.split())


def _meanings(axolotl: Mapping[str, Any], dataset: Dataset, rows: Any, tokenizer: Any) -> list[str | None]:
    """What each record should teach; None: only its strategy knows."""
    if axolotl.get("rl") or axolotl.get("train_on_inputs") or not isinstance(dataset.get("type"), Mapping):
        return [None] * len(rows)
    prompt_format = PromptFormat.from_dataset(dataset)
    return [prompt_format.answer(row) + str(tokenizer.eos_token) for row in rows]


def _together(reports: Sequence[Report]) -> Report:
    """Merge several reports into one, with the first examples."""
    examples = sorted(chain.from_iterable(report["examples"] for report in reports))[:EXAMPLES]
    return {name: sum(report[name] for report in reports) for name in COUNTS} | {
        "longest": max(report["longest"] for report in reports),
        "examples": [f"record {number}: {text}" for number, text in examples],
    }


def _sample(sizes: Sequence[int], sample: int | None, seed: int) -> list[Counted]:
    """The records to look at."""
    records = [(index, row) for index, size in enumerate(sizes) for row in range(size)]
    everything = range(len(records))
    chosen = everything if sample is None else sorted(random.Random(seed).sample(everything, min(sample, len(records))))  # noqa: S311
    return [Counted(*records[place], number=place + 1, times=1) for place in chosen]


def _distinct(loaded: Sequence[Any], records: Sequence[Counted]) -> list[Counted]:
    """Each record once: a curriculum repeats its positives."""
    found: dict[tuple[int, bytes], Counted] = {}
    for index, data in enumerate(loaded):
        mine = [record for record in records if record.dataset == index]
        for record, row in zip(mine, data.select([record.row for record in mine]) if mine else (), strict=True):
            key = index, hashlib.sha256(json.dumps(row, default=str).encode()).digest()
            known = found.get(key)
            found[key] = known._replace(times=known.times + 1) if known else record
    return list(found.values())
