"""docs/chaos.md: the results of the chaos table, with a column for each version of Slurm."""

import os
import platform
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median

INTRODUCTION = """\
# What was done to a run, and what it cost

`make chaos ARGS='--write docs/chaos.md'` made this page, once for each version of Slurm (`make chaos
SLURM=24.11`). The results themselves are in `docs/chaos.jsonl`: a later call continues with the
rows that are not there. The real Axolotl trains a toy mixture of experts for 24 optimizer steps,
with a save every 8 steps, on the real Slurm of `regrow dev-cluster`. A row holds if all of these are
true:

- No more steps were done again than allowed. An announced stop may lose none. An unannounced kill or
  a damaged checkpoint may lose the steps since the last save.
- The adapter and every logged loss are those of an undisturbed run, bit for bit.
- The training was brought back as often as it should be, by whom it should be, and was not run again
  after its end.
- Each dependent job started once, after the end of the training.
- The jobs in Slurm are those that the journal knows, no more and no fewer.
"""
ABOUT_CELLS = """\
A cell says how many completed optimizer steps were done again, who brought the training back, and
how long the row took. The last row says how long the start of the evaluation was after the end of
the training, at the median."""


def write_page(page: Path, results: list[dict], names: list[str]) -> None:
    """Write the page.

    Args:
        results: of every version of Slurm and of any code, in the order in which they came; the last one of a row counts.
        names: all rows of the table, in their order.
    """
    newest = {(result["name"], result["slurm"]): result for result in results if result["name"] in names}
    for key, result in newest.items():
        result["is_newest"] = result["commit"] == next(r["commit"] for r in results[::-1] if r["slurm"] == key[1])
        same = [each for each in results if (each["name"], each["slurm"], each["code"]) == (*key, result["code"])]
        result["failed_before"] = sum(not each["held"] for each in same[:-1])
    page.write_text("\n".join(_lines(list(newest.values()), names)) + "\n", encoding="utf-8")


def _lines(results: list[dict], names: list[str]) -> Iterator[str]:
    versions = sorted({result["slurm"] for result in results})
    yield INTRODUCTION
    yield (
        f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, torch {version('torch')}, "
        f"axolotl {version('axolotl')}, deepspeed {version('deepspeed')}."
    )
    for each in versions:
        mine = [result for result in results if result["slurm"] == each]
        for commit in dict.fromkeys(result["commit"] for result in mine):
            held = [result["held"] for result in mine if result["commit"] == commit]
            yield f"\nSlurm {each}, commit {commit}: {sum(held)} of {len(held)} rows held."
    yield f"\n{ABOUT_CELLS}\n"
    yield f"| scenario | {' | '.join(f'Slurm {each}' for each in versions)} |"
    yield f"|---|{'---|' * len(versions)}"
    found = {(result["name"], result["slurm"]): result for result in results}
    for name in names:
        cells = [found.get((name, each)) for each in versions]
        if any(cells):
            yield f"| {name} | {' | '.join(_cell(cell) for cell in cells)} |"
    waits = [
        _median([r["evaluate_after"] for r in results if r["slurm"] == each and r["evaluate_after"]])
        for each in versions
    ]
    yield f"| *from training's end to evaluation's start* | {' | '.join(waits)} |"


def _cell(result: dict | None) -> str:
    if result is None:
        return "–"
    by = ", ".join(f"{who} ×{count}" if count > 1 else who for who, count in Counter(result["requeued_by"]).items())
    held = "" if result["held"] else "**failed**: "
    before = f", failed {result['failed_before']} times before" if result["failed_before"] else ""
    older = "" if result["is_newest"] else f", at {result['commit']}"
    return f"{held}{result['lost']} lost{f', by {by}' if by else ''}, {result['seconds']:.0f} s{before}{older}"


def _median(values: list[float]) -> str:
    return f"{median(values):.1f} s" if values else "–"
