"""`make bench-status`: compares `regrow status` of many runs with that of one run, and with reading all their journals.

All runs except five have ended and were shown before, which is the usual case. The goals are ratios of CPU seconds within one
call of the benchmark.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from dev_cluster.ownership import exit_on_signals
from many_runs import LAST_STEP, write_runs
from measure import Results, Way, machine, print_table, take_turns

MANY = 200
MOST_TIMES_ONE = 2.5
MOST_TIMES_HALF = 2.0
"""Twice as many runs may take at most twice as long."""
ONE, HALF, ALL, JOURNALS = "one run", f"{MANY // 2} runs", f"{MANY} runs", f"cat {MANY} journals"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    exit_on_signals()  # a signal then also removes the temporary folder
    with tempfile.TemporaryDirectory(prefix="regrow-bench-") as name:
        folder = Path(name)
        counts = {ONE: 1, HALF: MANY // 2, ALL: MANY}

        def require_all(way: Way) -> None:
            shown = (way.folder / "stdout").read_text(encoding="utf-8").count(LAST_STEP)
            if shown != counts.get(way.name, 0):
                raise RuntimeError(f"{way.name}: {shown} runs are shown")

        ways = [status(way, write_runs(folder / str(count), count, min(count, 5))) for way, count in counts.items()]
        cat = ["sh", "-c", f"cat {folder}/{MANY}/*/journal/*"]
        found = take_turns([*ways, Way(JOURNALS, cat, folder / "cat")], repeats, require_all, check_each=True)
    print_table("regrow status", found, (ONE, JOURNALS))
    print(machine())
    missed = missed_goals(found)
    print(f"goals missed: {'; '.join(missed)}" if missed else "all goals reached")
    return int(bool(missed))


def status(name: str, runs_root: Path) -> Way:
    command = [str(Path(sys.executable).with_name("regrow")), "status", "--set", f"runs_root={runs_root}"]
    return Way(name, command, runs_root.parent / f"way-{runs_root.name}")


def missed_goals(found: Results) -> list[str]:
    cpu = {name: statistics.median(go.cpu_seconds for go in goes) for name, goes in found.items()}
    goals = [(ONE, MOST_TIMES_ONE), (HALF, MOST_TIMES_HALF)]
    return [
        f"{cpu[ALL] / cpu[other]:.2f} times the CPU seconds of {other}, promised {most:g}"
        for other, most in goals
        if cpu[ALL] > most * cpu[other]
    ]


if __name__ == "__main__":
    sys.exit(main())
