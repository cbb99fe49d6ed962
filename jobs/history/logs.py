"""The output of a run's attempts: of one attempt, or of all that follow, across every requeue."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry, JournalReader
from jobs.spec.errors import ConfigError
from jobs.spec.find import name_to_type
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import Stage

POLL_SECONDS = 0.5
LEFT = (events.Left, events.StageFinished, events.StageFailed)
"""The events that end an attempt."""


class Output(Protocol):
    """Where a log is printed."""

    def write(self, data: bytes, /) -> object: ...
    def flush(self) -> None: ...


@dataclass(frozen=True)
class Wanted:
    """Which attempts the user asks for."""

    stage: Stage | None = None
    """None: any stage."""
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
    """One attempt, and the file with its processes' output."""

    stage: Stage
    part: int
    attempt: int
    """Number of the attempt at this part of the stage, from 1."""
    job_id: str
    host: str
    path: Path

    def __str__(self) -> str:
        return f"{self.stage}, job {self.job_id}, attempt {self.attempt}, on {self.host}: {self.path}"


def attempt_logs(entries: Sequence[Entry]) -> list[AttemptLog]:
    """The log of every attempt, oldest first."""
    found: list[AttemptLog] = []
    counted: Counter[tuple[Stage, int]] = Counter()
    for entry in only(entries, events.StageStarted):
        counted[entry.stage, entry.part] += 1
        number = counted[entry.stage, entry.part]
        found.append(AttemptLog(entry.stage, entry.part, number, entry.job_id, entry.host, Path(entry.log)))
    return found


def print_log(spec: RunSpec, wanted: Wanted, output: Output, say: Callable[[str], None]) -> None:
    """Print the output so far of the newest wanted attempt.

    Raises:
        ConfigError: no attempt fits.
    """
    fitting = [log for log in attempt_logs(JournalReader(spec.paths.journal).new_entries()) if wanted.fits(log)]
    if not fitting:
        raise ConfigError(f"{spec.name}: no attempt yet for: {wanted}\nhint: `regrow status {name_to_type(spec)}`")
    say(str(fitting[-1]))
    output.write(fitting[-1].path.read_bytes() if fitting[-1].path.exists() else b"")


class LogFollower:
    """Prints new output of the wanted attempts: from the newest attempt on, until no more output can come."""

    def __init__(self, spec: RunSpec, wanted: Wanted, output: Output, say: Callable[[str], None]) -> None:
        self._spec, self._wanted, self._output, self._say = spec, wanted, output, say
        self._reader = JournalReader(spec.paths.journal)
        self._entries: list[Entry] = []
        self._printed: dict[Path, int] = {}
        """Number of bytes printed of each log."""
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
        """Print the output since the last call."""
        self._entries += self._reader.new_entries()
        fitting = [log for log in attempt_logs(self._entries) if self._wanted.fits(log)]
        if not self._printed:  # skip the output of earlier attempts
            self._printed = {log.path: log.path.stat().st_size for log in fitting[:-1] if log.path.exists()}
        for log in fitting:
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
        """Whether the wanted output is complete: the attempt, every part of the stage, or the report, which comes last."""
        if self._wanted.attempt is not None:
            names = {log.path.stem for log in attempt_logs(self._entries) if self._wanted.fits(log)}
            return any(entry.attempt_name in names and isinstance(entry, LEFT) for entry in self._entries)
        stage = self._wanted.stage or "report"
        wanted = range(self._spec.parts(stage)) if self._wanted.array_task is None else [self._wanted.array_task]
        newest = _newest_marks(self._entries, stage)
        return all(isinstance(newest.get(part), events.StageFinished | events.StageFailed) for part in wanted)


def _newest_marks(entries: Sequence[Entry], stage: Stage) -> dict[int, Entry]:
    """Each part's newest event of these kinds: submitted, started, finished, failed."""
    newest: dict[int, Entry] = {}
    for entry in entries:
        match entry:
            case events.Foreground():  # unfinished stages start again, and the report always does
                is_kept = stage != "report"
                newest = {part: mark for part, mark in newest.items()
                          if is_kept and isinstance(mark, events.StageFinished)}  # fmt: skip
            case events.Submitted() if entry.stage == stage:
                newest |= dict.fromkeys(entry.parts, entry)
            case events.StageStarted() | events.StageFinished() | events.StageFailed() if entry.stage == stage:
                newest[entry.part] = entry
    return newest
