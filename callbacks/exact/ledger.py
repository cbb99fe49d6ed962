"""Ledger: which records each optimizer step took, as a rolling hash over all steps so far. Independent of weights and order."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.exact.digests import PRIME, Differs
from callbacks.shared.from_stage import attempt_name, has_lost_lease
from callbacks.shared.ledger_file import (
    RECORDS,
    Begun,
    Line,
    Step,
    history,
    ledger_file,
    read_ledger,
    record_id,
    to_lines,
)
from callbacks.shared.manifest import write_atomically

FLUSH_STEPS = 100
"""Steps between two writes at most; each write waits for the device."""
IDS = "regrow_record_ids"
"""The key of a batch with its records' ids, between the collator and the training step."""


class Ledger(TrainerCallback):
    """Runs on every rank. Two trainings have taken the same records, in the same batches and order, if their values are equal.

    A step that is done again after a resume must take the same records again; otherwise the training ends with Differs.
    """

    def __init__(
        self, trainer: Trainer, epoch: Callable[[], int], sources: Sequence[Path], with_records: bool = False
    ) -> None:
        """`sources`: the files that say what this attempt trains. `with_records`: also note the ids of the records."""
        self._trainer, self._train, self._epoch = trainer, trainer.training_step, epoch
        self._config = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
        self._value = torch.zeros((), dtype=torch.int64, device=trainer.args.device)
        self._steps: list[tuple[int, int, torch.Tensor, list[torch.Tensor]]] = []
        """Step, epoch, value and ids of the steps that are not yet written."""
        self._ids: list[torch.Tensor] = []
        """The ids since the last step."""
        self._at_step = self._value
        self._places: dict[torch.Size, torch.Tensor] = {}
        self._earlier: dict[int, str] = {}
        """Values of steps that an earlier attempt has done after the checkpoint."""
        self._with_records = with_records and not isinstance(trainer.train_dataset, IterableDataset)
        trainer.training_step = self._note_and_train
        if self._with_records:
            self._loader = trainer.get_train_dataloader
            trainer.get_train_dataloader = self._loader_with_ids

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._ledger.parent.mkdir(parents=True, exist_ok=True)
        if self._with_records and args.process_index == 0:
            self._list_records(Path(str(args.output_dir)) / RECORDS)
        self._append([Begun(attempt_name(), self._config, state.global_step, args.world_size)])

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._ids = []

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._at_step = self._value
        self._steps.append((state.global_step, self._epoch(), self._value, self._ids))
        if self._earlier and (before := self._earlier.pop(state.global_step, None)) is not None:
            has = hexadecimal(int(self._value))
            if has != before:
                self._write()
                raise Differs(f"step {state.global_step} takes other records than when it was done before the resume")
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
        if not self._file(checkpoint).exists():
            return
        value = json.loads(self._file(checkpoint).read_bytes())["value"]
        self._value = self._at_step = torch.full_like(self._value, value)
        step = self._trainer.state.global_step
        done = history(read_ledger(self._ledger))
        self._earlier = {
            each.step: each.value
            for each in done.steps.values()
            if each.step > step and done.configs[each.step] == self._config
        }

    def _file(self, checkpoint: Path) -> Path:
        return checkpoint / f"regrow_ledger_{self._trainer.args.process_index}.json"

    @property
    def _ledger(self) -> Path:
        return ledger_file(Path(str(self._trainer.args.output_dir)), self._trainer.args.process_index)

    def _note_and_train(self, model: Any, inputs: Any, *arguments: Any, **named: Any) -> Any:
        if not isinstance(inputs, Mapping):  # TRL's GRPO trains on prompts that are not tokenised
            self._value = self._value * PRIME + id_of({"records": repr(inputs)})
            return self._train(model, inputs, *arguments, **named)
        if IDS in inputs:
            self._ids.append(inputs.pop(IDS))  # type: ignore[attr-defined]
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

    def _loader_with_ids(self) -> Any:
        """The trainer's data loader of training records. Its collator also collects the records' ids."""
        collator = self._trainer.data_collator
        self._trainer.data_collator = CollatorWithIds(collator)
        try:
            return self._loader()
        finally:
            self._trainer.data_collator = collator

    def _list_records(self, path: Path) -> None:
        """Write the id of every training record, unless an attempt with this config has done so."""
        begun = [line for line in read_ledger(self._ledger) if isinstance(line, Begun)]
        if path.exists() and begun and begun[-1].config == self._config:
            return
        ids = (hexadecimal(id_of(record)) for record in self._trainer.train_dataset)
        write_atomically(path, "".join(f"{each}\n" for each in ids))

    def _write(self) -> None:
        if not self._steps:
            return
        values = torch.stack([value for _, _, value, _ in self._steps]).tolist()
        lines = [
            Step(step, hexadecimal(value), epoch, self._records(ids))
            for (step, epoch, _, ids), value in zip(self._steps, values, strict=True)
        ]
        self._steps.clear()
        self._append(lines)

    def _records(self, ids: Sequence[torch.Tensor]) -> list[str] | None:
        return [hexadecimal(each) for batch in ids for each in batch.tolist()] if self._with_records else None

    def _append(self, lines: Sequence[Line]) -> None:
        if has_lost_lease():
            return
        with self._ledger.open("ab") as file:
            file.write(to_lines(lines))
            file.flush()
            os.fsync(file.fileno())


class CollatorWithIds:
    """A collator that adds its records' ids to the batch; a class, because workers of the data loader may pickle it."""

    def __init__(self, collator: Any) -> None:
        self._collator = collator

    def __call__(self, features: Sequence[Any], *arguments: Any, **named: Any) -> Any:
        packed = bool(features) and isinstance(features[0], list)
        ids = [id_of(each) for each in ([each for bin_ in features for each in bin_] if packed else features)]
        batch = self._collator(features, *arguments, **named)
        batch[IDS] = torch.tensor(ids, dtype=torch.int64)
        return batch


def id_of(record: Mapping[str, Any]) -> int:
    """A record's id as a signed 64-bit number: of its tokens, or of its texts if it is not tokenised."""
    tokens = [
        np.asarray(record[name], dtype=np.int64).tobytes() for name in sorted(record) if name.endswith("input_ids")
    ]
    texts = [repr(value).encode() for _, value in sorted(record.items()) if isinstance(value, str | int | float | list)]
    number = int(record_id(tokens or texts), 16)
    return number - 2**64 if number >= 2**63 else number


def hexadecimal(number: int) -> str:
    return format(number % 2**64, "016x")
