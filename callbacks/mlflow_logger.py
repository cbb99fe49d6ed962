"""MLflowLogger: every log of the trainer into the journal, from where it is posted to MLflow."""

import re
from pathlib import Path
from typing import Any

import yaml
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.environment import environment_facts
from callbacks.shared import events
from callbacks.shared.journal import Journal
from callbacks.shared.projection import flat_params

TOTALS = frozenset({"train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss"})
"""What the Trainer adds up from its process's start, and divides by all steps: wrong after a resume."""


class MLflowLogger(TrainerCallback):
    """Rank 0 only. Params are those of the resolved config, not the two hundred defaults of the trainer."""

    def __init__(self, journal: Journal, config: Path) -> None:
        self.journal, self.config = journal, config
        self._is_resumed = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._is_resumed = state.global_step > 0
        params = flat_params(yaml.safe_load(self.config.read_text(encoding="utf-8")))
        self.journal.write(events.Params(values={key: str(value) for key, value in params.items()}))
        facts = environment_facts() | {"regrow.world_size": str(args.world_size)}
        self.journal.write(events.Environment(values=facts))
        self.journal.write(events.Artifact(path=str(self.config.resolve()), folder="config"))

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
    """The trainer's name without brackets; generation scores carry the same name everywhere, without HF's `eval_`."""
    return re.sub(r"[^\w\-./ ]+", "_", name.replace(" (", "_").replace("eval_gen_", "gen_")).rstrip("_")
