"""Ledger: which records each optimizer step took, as a rolling hash over all steps so far. Independent of weights and order."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.digests import PRIME

FLUSH_STEPS = 100
"""Steps between two writes at most; each write waits for the device."""


def ledger_file(output_dir: Path, rank: int) -> Path:
    """A rank's ledger: one JSON line for each step, `{"step": 7, "value": "…"}`. A step that was done again has two lines."""
    return output_dir / f"ledger-{rank}.jsonl"


class Ledger(TrainerCallback):
    """Runs on every rank. Two trainings have taken the same records, in the same batches and order, if their values are equal."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer, self._train = trainer, trainer.training_step
        self._value = torch.zeros((), dtype=torch.int64, device=trainer.args.device)
        self._steps: list[tuple[int, torch.Tensor]] = []
        """Values at the end of steps, not yet written."""
        self._at_step = self._value
        self._places: dict[torch.Size, torch.Tensor] = {}
        trainer.training_step = self._note_and_train

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._at_step = self._value
        self._steps.append((state.global_step, self._value))
        if len(self._steps) >= FLUSH_STEPS:
            self._write()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._write()

    def save(self, checkpoint: Path) -> None:
        """Write the value at the end of the last step into a checkpoint that is being made."""
        self._write()
        self._file(checkpoint).write_text(json.dumps({"value": int(self._at_step)}), encoding="utf-8")

    def load(self, checkpoint: Path) -> None:
        """Go on with the value of a checkpoint."""
        if self._file(checkpoint).exists():
            value = json.loads(self._file(checkpoint).read_bytes())["value"]
            self._value = self._at_step = torch.full_like(self._value, value)

    def _file(self, checkpoint: Path) -> Path:
        return checkpoint / f"regrow_ledger_{self._trainer.args.process_index}.json"

    def _note_and_train(self, model: Any, inputs: Any, *arguments: Any, **named: Any) -> Any:
        for name, tensor in inputs.items():
            if name.endswith("input_ids") and isinstance(tensor, torch.Tensor):
                self._value = self._value * PRIME + self._hash(tensor)
        return self._train(model, inputs, *arguments, **named)

    def _hash(self, tokens: torch.Tensor) -> torch.Tensor:
        """Of the tokens and their places; some microseconds, and no wait for the device."""
        places = self._places.get(tokens.shape)
        if places is None:
            numbers = torch.arange(tokens.numel(), device=tokens.device)
            places = self._places[tokens.shape] = (2 * numbers + 1).reshape(tokens.shape) * PRIME
        return torch.hash_tensor(tokens * places).view(torch.int64)

    def _write(self) -> None:
        if not self._steps:
            return
        values = torch.stack([value for _, value in self._steps]).tolist()
        lines = [
            json.dumps({"step": step, "value": format(value % 2**64, "016x")})
            for (step, _), value in zip(self._steps, values, strict=True)
        ]
        self._steps.clear()
        output = Path(str(self._trainer.args.output_dir))
        output.mkdir(parents=True, exist_ok=True)
        with ledger_file(output, self._trainer.args.process_index).open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
