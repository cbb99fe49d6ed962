"""Code that the benchmarks share: it runs processes in turn, measures their wall seconds and peak memory, and prints a table."""

import json
import os
import platform
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

Results = Mapping[str, Sequence["Measured"]]
"""Name of a way → its measurements."""

# A child's ru_maxrss starts at the peak of the process that forked it. So a bare Python starts the command: only its own
# few MiB are the least value that can be shown, however large this process is.
_LAUNCHER = """
import json, os, sys, time
folder, *command = sys.argv[1:]
written = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
files = [(os.POSIX_SPAWN_OPEN, fd, folder + name, written, 0o644) for fd, name in ((1, "/stdout"), (2, "/stderr"))]
started = time.perf_counter()
pid = os.posix_spawnp(command[0], command, os.environ, file_actions=files)
status, usage = os.wait4(pid, 0)[1:]
seconds = time.perf_counter() - started
cpu_seconds = usage.ru_utime + usage.ru_stime
print(json.dumps([seconds, cpu_seconds, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)]))
"""
_STDERR_LINES = 20
_CAPTION = "peak: of the process itself; less than 10 MiB is shown as 10"
_WIDTH = 160
"""Width of a table in a file or a pipe, characters."""


@dataclass(frozen=True)
class Way:
    """One way to get something done: a whole process."""

    name: str
    command: Sequence[str]
    folder: Path
    """Where the command writes, including its `stdout` and `stderr`. It is empty before each measurement and removed after it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables in addition to those of this process."""


@dataclass(frozen=True)
class Measured:
    """One measurement of a way."""

    seconds: float
    """Wall clock time, from the start of the process to its end."""
    cpu_seconds: float
    """User and system time. Unlike `seconds`, it hardly depends on what else is running."""
    peak_mib: float
    """Peak memory of the process itself, or of the largest child that it waited for."""


def take_turns(
    ways: Sequence[Way], repeats: int, check: Callable[[Way], None] = lambda way: None, check_each: bool = False
) -> Results:
    """Run the ways in turn, `repeats` times. Before that, run each way once as a warm-up, which does not count but is checked.

    Args:
        check: looks at the warm-up of each way.
        check_each: `check` looks at every measurement too.
    """
    for way in ways:
        _go(way, "warm-up", check)
    measured: dict[str, list[Measured]] = {way.name: [] for way in ways}
    for repeat in range(repeats):
        for way in ways:
            measured[way.name].append(_go(way, f"{repeat + 1}/{repeats}", *[check] * check_each))
    return measured


def _go(way: Way, label: str, check: Callable[[Way], None] = lambda way: None) -> Measured:
    shutil.rmtree(way.folder, ignore_errors=True)
    way.folder.mkdir(parents=True)
    try:
        measured = measure(way)
        print(f"{label:<8} {way.name:<40} {measured.seconds:8.2f} s {measured.peak_mib:8,.0f} MiB", file=sys.stderr)
        check(way)
    finally:
        shutil.rmtree(way.folder)
    return measured


def measure(way: Way) -> Measured:
    """Run a way once.

    Raises:
        RuntimeError: the way failed. The message has the end of its stderr.
    """
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(way.folder), *way.command]
    own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}  # imports must not search our code
    with subprocess.Popen(
        launcher, stdout=subprocess.PIPE, env=own | way.environment, start_new_session=True
    ) as process:
        try:
            answer, _ = process.communicate()
        except BaseException:  # e.g. a signal: the command and its children end too
            os.killpg(process.pid, signal.SIGKILL)
            raise
    seconds, cpu_seconds, peak_mib, code = json.loads(answer)
    if code:
        lines = (way.folder / "stderr").read_text(encoding="utf-8", errors="replace").splitlines()[-_STDERR_LINES:]
        raise RuntimeError(f"{way.name}: exit code {code} of {shlex.join(way.command)}\n" + "\n".join(lines))
    return Measured(seconds, cpu_seconds, peak_mib)


def median_seconds(results: Results, name: str) -> float:
    return statistics.median(go.seconds for go in results[name])


def peak_mib(results: Results, name: str) -> float:
    return max(go.peak_mib for go in results[name])


def print_table(title: str, results: Results, against: Sequence[str]) -> None:
    """Print a row for each way, with the ratio of its median to that of each way in `against`."""
    heading = f"{title} (medians of {min(map(len, results.values()))})"
    table = Table(title=heading, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
                  caption=_CAPTION, caption_justify="left")  # fmt: skip
    table.add_column("", no_wrap=True)
    for header in ("median s", "min-max s", "CPU s", *(f"x {name}" for name in against), "peak MiB"):
        table.add_column(header, justify="right", no_wrap=True)
    for name, goes in results.items():
        median, seconds = median_seconds(results, name), [go.seconds for go in goes]
        ratios = [f"{median / median_seconds(results, other):.2f}" for other in against]
        cpu = statistics.median(go.cpu_seconds for go in goes)
        spread, peak = f"{min(seconds):.2f}-{max(seconds):.2f}", f"{peak_mib(results, name):,.0f}"
        table.add_row(name, f"{median:.2f}", spread, f"{cpu:.2f}", *ratios, peak)
    print_wide(table)


def print_wide(table: Table) -> None:
    """Print the table in full width, even without a terminal."""
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(table)


def machine() -> str:
    """The machine, the time and our commit. The load shows whether something else was running."""
    cpu = next((line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), "unknown CPU")
    cores = len(os.sched_getaffinity(0))
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    now = datetime.now(UTC)
    return (
        f"{cpu} ({platform.machine()}), {cores} cores, {gib:.0f} GiB, Linux {platform.release()}, "
        f"load average {os.getloadavg()[0]:.1f}, {now:%Y-%m-%d %H:%M} UTC, {_revision()}"
    )


def _revision() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _cpuinfo() -> list[str]:
    return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
