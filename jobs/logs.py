"""What the attempts of a run have printed: one of them, or all that come, across every requeue."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from callbacks.journal import Entry, JournalReader
from jobs.config_error import ConfigError
from jobs.spec import RunSpec
from jobs.stages import Stage

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Wanted:
    """Which attempts somebody asks for."""

    stage: Stage | None = None
    """None: of whatever stage."""
    attempt: int | None = None
    """From 1; None: the newest."""
    array_task: int | None = None
    """The part of an evaluation, from 0; None: any."""

    def fits(self, log: "AttemptLog") -> bool:
        return (
            self.stage in (None, log.stage)
            and self.attempt in (None, log.attempt)
            and self.array_task in (None, log.part)
        )

    def __str__(self) -> str:
        number = None if self.attempt is None else f"attempt {self.attempt}"
        task = None if self.array_task is None else f"array task {self.array_task}"
        return ", ".join(filter(None, [self.stage or "any stage", task, number]))


@dataclass(frozen=True)
class AttemptLog:
    """One attempt, and the file with what its processes print."""

    stage: Stage
    part: int
    attempt: int
    """From 1: the first, second, ... go of this part of the stage."""
    job_id: str
    host: str
    path: Path

    def __str__(self) -> str:
        return f"{self.stage}, job {self.job_id}, attempt {self.attempt}, on {self.host}: {self.path}"


def attempt_logs(entries: Sequence[Entry]) -> list[AttemptLog]:
    """Of every attempt, oldest first."""
    found: list[AttemptLog] = []
    for entry in entries:
        if entry["event"] == "stage_started":
            before = [log for log in found if (log.stage, log.part) == (entry["stage"], entry["part"])]
            found.append(AttemptLog(entry["stage"], entry["part"], len(before) + 1, entry["job_id"], entry["host"],
                                    Path(entry["log"])))  # fmt: skip
    return found


def print_log(spec: RunSpec, wanted: Wanted, output: BinaryIO, say: Callable[[str], None]) -> None:
    """Print what the newest attempt that is wanted has printed so far.

    Raises:
        ConfigError: there is none.
    """
    fitting = [log for log in attempt_logs(JournalReader(spec.paths.journal).new_entries()) if wanted.fits(log)]
    if not fitting:
        raise ConfigError(f"{spec.name}: nothing has started yet of: {wanted}; see regrow status {spec.typed}")
    say(str(fitting[-1]))
    output.write(fitting[-1].path.read_bytes() if fitting[-1].path.exists() else b"")


class LogFollower:
    """Prints what is wanted as it comes: from the newest attempt on, each that follows, until nothing more can come."""

    def __init__(self, spec: RunSpec, wanted: Wanted, output: BinaryIO, say: Callable[[str], None]) -> None:
        self._wanted, self._output, self._say = wanted, output, say
        self._reader = JournalReader(spec.paths.journal)
        self._entries: list[Entry] = []
        self._printed: dict[Path, int] = {}
        """Bytes of each log."""
        self._last: AttemptLog | None = None

    def follow(self, may_go_on: Callable[[], bool]) -> None:
        """`may_go_on`: whether the run has jobs or processes that may still print."""
        while True:
            is_last = self._is_over() or not may_go_on()
            self.print_new()
            if is_last:
                return
            time.sleep(POLL_SECONDS)

    def print_new(self) -> None:
        """What was printed since the last time."""
        self._entries += self._reader.new_entries()
        fitting = [log for log in attempt_logs(self._entries) if self._wanted.fits(log)]
        for log in fitting if self._printed else fitting[-1:]:
            self._print_new_of(log)
        self._output.flush()

    def _print_new_of(self, log: AttemptLog) -> None:
        start, text = self._printed.get(log.path, 0), b""
        if log.path.exists():
            with log.path.open("rb") as file:
                file.seek(start)
                text = file.read()
        if not text and log.path in self._printed:
            return
        if log != self._last:
            self._say(str(log))
        self._last = log
        self._output.write(text)
        self._printed[log.path] = start + len(text)

    def _is_over(self) -> bool:
        """Whether the stage that is wanted has come to its end, or the run."""
        if self._wanted.stage is None:
            marks = [entry for entry in self._entries if entry["event"] in ("stage_started", "run_ended")]
            return bool(marks) and marks[-1]["event"] == "run_ended"
        marks = [entry for entry in self._entries if entry["event"] in ("stage_started", "stage_finished", "stage_failed")
                 and entry["stage"] == self._wanted.stage and self._wanted.array_task in (None, entry["part"])]  # fmt: skip
        newest = {entry["part"]: entry["event"] for entry in marks}
        return bool(newest) and "stage_started" not in newest.values()
