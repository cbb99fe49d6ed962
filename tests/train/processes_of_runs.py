"""The processes of a run, found by their command lines."""

import os
import subprocess
from pathlib import Path

from patience import HANGS_AFTER_SECONDS

SCORES = {"gen_json_parse_rate", "gen_offender_presence_f1", "gen_offender_name_set_f1", "gen_keyword_rule_presence_f1"}


def processes_of(run_dir: Path) -> list[int]:
    """Ids of the processes that have the run folder on their command line. The submission does not have it."""
    pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if str(run_dir).encode() in words(pid)]


def words(pid: int) -> bytes:
    """The command line of a process; empty: the process has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def wait_for_end(pid: int) -> None:
    """Wait for the end of a process; TimeoutExpired if it still runs after 30 s."""
    tail = ["tail", f"--pid={pid}", "-f", os.devnull]
    subprocess.run(tail, check=True, timeout=HANGS_AFTER_SECONDS)


def runs_module(pid: int, module: str) -> bool:
    return module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
