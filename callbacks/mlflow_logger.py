"""MLflowLogger: writes every log of the trainer into the journal. From there another process posts it to MLflow."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.environment import environment_facts
from callbacks.shared import events
from callbacks.shared.from_stage import training_name
from callbacks.shared.journal import Journal

TOTALS = frozenset({"train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss"})
"""Wrong after a resume: the Trainer adds these up since its process started, but divides them by all steps."""


class MLflowLogger(TrainerCallback):
    """Runs on rank 0 only."""

    def __init__(self, journal: Journal, params: Mapping[str, Any], sources: Sequence[Path]) -> None:
        """`params`: what the user chose, not the trainer's 200 defaults. `sources`: the files that say what is trained."""
        self.journal, self._params, self._sources = journal, params, sources
        self._is_resumed = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._is_resumed = state.global_step > 0
        name = training_name()  # the trainings of a run have different params, and MLflow takes each only once
        values = {f"{name}.{key}" if name else key: str(value) for key, value in self._params.items()}
        self.journal.write(events.Params(values=values))
        facts = environment_facts() | {"regrow.world_size": str(args.world_size)}
        self.journal.write(events.Environment(values=facts))
        for path in self._sources:
            self.journal.write(events.Artifact(path=str(path.resolve()), folder="config"))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        left_out = TOTALS if self._is_resumed else frozenset()
        values = {
            metric_name(name): float(value)
            for name, value in (logs or {}).items()
            if isinstance(value, int | float) and name not in left_out
        }
        self.journal.write(events.Metrics(step=state.global_step, values=values))


def metric_name(name: str) -> str:
    """The trainer's name without brackets. Generation scores lose HF's `eval_`, so that they have the same name everywhere."""
    return re.sub(r"[^\w\-./ ]+", "_", name.replace(" (", "_").replace("eval_gen_", "gen_")).rstrip("_")
