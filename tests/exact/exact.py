"""`make exact`: trainings of every shape, stopped and resumed, beside undisturbed ones; goes on where it was cut off."""

import argparse
import hashlib
import os
import platform
import re
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from importlib.metadata import version
from pathlib import Path

from comparison import differences
from dev_cluster.ownership import exit_on_signals
from kept_results import KeptResults
from matrix import COUNT, Case, cases
from properties import PROPERTIES
from side_by_side import side_by_side
from trainings import Trainings
from world import REPO_ROOT, build_world

INTRODUCTION = """\
# Which trainings end as if nobody had stopped them

`make exact ARGS='--write docs/exact.md'` made this page. The real Axolotl trains a toy mixture of
experts on a CPU, for some 5 to 45 optimizer steps. Each training runs twice: undisturbed, and
stopped or killed at the places of its row, and resumed in a new process. A training is exact if all
of these are the same, bit for bit: the weights, the records of each step, every logged loss,
gradient norm, learning rate and evaluation, the best checkpoint, and what other callbacks are told.
`regrow verify` must also find that each record was trained as often as it should be. If two values
can be put together, they occur together in at least one training."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=REPO_ROOT / "runs" / "exact")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier calls have shown")
    parser.add_argument("--only", default="", help="cases whose name fits this regular expression")
    parser.add_argument("--count", type=int, default=COUNT, help="how many cases")
    parser.add_argument("--workers", type=int, default=2, help="trainings that run side by side; each needs a CPU")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="PAGE.md",
        help="write the table as Markdown, and keep the results in PAGE.jsonl; default: only keep them, in FOLDER",
    )
    options = parser.parse_args()
    kept = options.write.with_suffix(".jsonl") if options.write else options.folder / "results.jsonl"
    results = KeptResults(kept, ("callbacks",), options.fresh)
    chosen = [case for case in cases(options.count) if re.search(options.only, case.name)]

    def work(number: int, items: Iterator[int]) -> Generator[tuple[int, dict], None, None]:
        """Train, in this worker's own folder."""
        folder = options.folder.resolve() / f"worker{number}"
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "AXOLOTL_DO_NOT_TRACK": "1"}
        trainings = Trainings(build_world(folder / "world", environment), folder)
        for item in items:
            case = chosen[item]
            yield item, results.held(name=case.name) or results.add(outcome(case, trainings))

    exit_on_signals()
    shown: dict[int, dict] = {}
    for item, result in side_by_side(work, len(chosen), options.workers):
        shown[item] = result
        print(f"{len(shown)}/{len(chosen)}  {line(result)}", flush=True)
    in_order = [shown[item] for item in range(len(chosen))]
    exact = sum(result["held"] for result in in_order)
    if options.write:
        options.write.write_text(markdown(in_order), encoding="utf-8")
    print(f"{exact} of {len(chosen)} trainings are exact")
    return 0 if exact == len(chosen) else 1


def outcome(case: Case, trainings: Trainings) -> dict:
    """Train, and say what differed, as it is kept."""
    began, name = time.monotonic(), hashlib.sha256(case.name.encode()).hexdigest()[:8]
    try:
        problems = differences(trainings, case, name)
    except AssertionError as error:
        problems = [str(error)]
    return {
        "name": case.name,
        "chosen": dict(case.chosen),
        "held": not problems,
        "problems": problems,
        "folder": name,
        "seconds": time.monotonic() - began,
    }


def line(result: dict) -> str:
    text = f"{'exact' if result['held'] else 'DIFFERS'} {result['seconds']:4.0f} s  {result['name']}"
    return "\n    ".join([text, *(f"{result['folder']}: {problem}" for problem in result["problems"])])


def markdown(results: list[dict]) -> str:
    """The table by property, as it stands in docs/."""
    commits = ", ".join(sorted({result["commit"] for result in results}))
    lines = [
        *INTRODUCTION.splitlines(),
        "",
        f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, torch {version('torch')}, "
        f"transformers {version('transformers')}, axolotl {version('axolotl')}, commit {commits}; "
        f"{sum(r['held'] for r in results)} of {len(results)} trainings are exact.",
        "",
        "| property | value | exact | trainings |",
        "|---|---|---:|---:|",
    ]
    for key, values in PROPERTIES.items():
        counts = Counter((r["chosen"][key], r["held"]) for r in results)
        lines += [
            f"| {key} | {value} | {counts[value, True]} | {counts[value, True] + counts[value, False]} |"
            for value in values
        ]
    failed = [f"- {r['name']}: {'; '.join(r['problems'])}" for r in results if not r["held"]]
    return "\n".join([*lines, *(["", "What differed:", "", *failed] if failed else [])]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
