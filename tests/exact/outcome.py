"""What a training has left, and what it has told."""

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from callbacks.shared.ledger_file import history, ledgers, read_ledger
from jobs.history.records import TrainedRecords, trained_records

FINAL_STATE = "final_state.json"
"""The Trainer's state at the end of the training."""
MEASURED = ("runtime", "per_second", "seconds", "memory", "tokens", "ppl", "train/", "epoch", "flos")
"""Logged values with these words are measured, not computed; or they are counters of this process alone."""


@dataclass(frozen=True)
class Outcome:
    """What a training has left."""

    folder: Path
    log: str
    code: int

    @cached_property
    def weights(self) -> str:
        """SHA-256 of the final weights; empty: there are none."""
        digest, files = hashlib.sha256(), sorted(self.folder.glob("*model*.safetensors"))
        for file in files:
            digest.update(file.read_bytes())
        return digest.hexdigest() if files else ""

    @cached_property
    def state(self) -> dict[str, Any]:
        """The Trainer's state at the end."""
        found: dict[str, Any] = json.loads((self.folder / FINAL_STATE).read_bytes())
        return found

    @cached_property
    def ledger(self) -> dict[str, dict[int, str]]:
        """Each rank's ledger: the value of each step."""
        return {
            path.name: {step.step: step.value for step in history(read_ledger(path)).steps.values()}
            for path in ledgers(self.folder)
        }

    @cached_property
    def records(self) -> TrainedRecords:
        """What `regrow verify` finds in the ledgers."""
        return trained_records(self.folder)

    @property
    def events(self) -> Counter[tuple[str, int]]:
        """What a callback was told in all attempts: how often each event came at each step. What it was told after an attempt's
        last save, it is told again: its state is that of the save. Saves, and parts of a step, may be more after a stop."""
        logs = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(self.folder.parent.glob("*.log"))]
        *earlier, last = map(self._told, logs)
        kept = [each for told in earlier for each in told[: len(told) - _after_last_save(told)]]
        return Counter(each for each in [*kept, *last] if each[0] not in ("save", "substep"))

    def _told(self, log: str) -> list[tuple[str, int]]:
        """Events and their steps, in order."""
        return [(event, int(step)) for event, step in re.findall(r"^EVENT ([a-z ]+) (\d+)$", log, re.MULTILINE)]

    def moment(self, stop: str) -> str:
        """A stop with its step in place of a word, of this training: `40%` of all steps (with `+1`, `-1`), `border` (with `+1`),
        `first` and `last` evaluation, `saved` for the first save and `saved+1` for the second."""
        phase, _, word = stop.partition("@")
        if share := re.fullmatch(r"(\d+)%([+-]\d+)?", word):
            step = max(1, self.state["global_step"] * int(share[1]) // 100) + int(share[2] or 0)
            if phase == "accumulation":  # the last step of an epoch may have a single micro-batch
                step = min(at for event, at in self._told(self.log) if event == "substep" and at >= step)
            return f"{phase}@{step}"
        borders, evaluated, saved = (
            [step for event, step in self._told(self.log) if event == what]
            for what in ("epoch end", "evaluate", "save")
        )
        places = {"first": min(filter(None, evaluated), default=0), "last": max(evaluated, default=0)}
        places |= {"border": borders[0], "border+1": borders[0] + 1}
        places |= dict(zip(("saved", "saved+1"), sorted(set(saved)), strict=False))
        return f"{phase}@{places.get(word, word)}"

    @property
    def logged(self) -> list[tuple[int, str, float]]:
        """Every computed value that was logged, with its step."""
        return sorted(
            (row["step"], name, value)
            for row in self.state["log_history"]
            for name, value in row.items()
            if name != "step" and not any(word in name for word in MEASURED)
        )


def _after_last_save(told: list[tuple[str, int]]) -> int:
    """How many events came after the last save; all of them, if there was none."""
    return next((count for count, (event, _) in enumerate(reversed(told)) if event == "save"), len(told))
