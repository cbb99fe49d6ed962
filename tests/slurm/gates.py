"""An Axolotl plugin for tests: it stops the training at chosen points until the test lets it continue.

REGROW_TEST_GATES names a folder. A file `<phase>@<step>` in it is a gate. A training that reaches it writes
`<phase>@<step>.reached` and waits for `<phase>@<step>.open`. An open gate does not stop a training.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from axolotl.integrations.base import BasePlugin
from fsdp_on_cpu import allow_fsdp_on_cpus
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

GATES = Path(os.environ["REGROW_TEST_GATES"])
if not torch.cuda.is_available():
    allow_fsdp_on_cpus()


def pass_gate(phase: str, step: int) -> None:
    """If there is a gate for this phase and step, wait until it is open."""
    gate = GATES / f"{phase}@{step}"
    if not gate.exists():
        return
    gate.with_name(f"{gate.name}.reached").touch()
    while not gate.with_name(f"{gate.name}.open").exists():
        time.sleep(0.01)


class GateKeeper(TrainerCallback):
    """Waits at the gates within a training."""

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        pass_gate("begin", state.global_step)

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        pass_gate("accumulation", state.global_step)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any
    ) -> None:
        pass_gate("step", state.global_step)

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any
    ) -> None:
        pass_gate("evaluation", state.global_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        pass_gate("after", state.global_step)


class Gates(BasePlugin):
    """Waits at the gates before the training, and at those in code without a hook: a save, a generated token."""

    def load_datasets(self, cfg: Any, preprocess: bool = False) -> None:
        pass_gate("tokenise" if preprocess else "data", 0)

    def pre_model_load(self, cfg: Any) -> None:
        pass_gate("model", 0)

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Trainer) -> list[TrainerCallback]:
        trainer._save_rng_state = _gated(trainer._save_rng_state, "save", trainer)
        generate = trainer.model.generate
        trainer.model.generate = lambda *args, **kwargs: generate(
            *args, **{**kwargs, "stopping_criteria": [_Token(trainer), *kwargs["stopping_criteria"]]}
        )
        return [GateKeeper()]


class _Token:
    """A stopping criterion that never stops the generation. It is called for every token, and waits at the gate."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        pass_gate("generation", self.trainer.state.global_step)
        return input_ids.new_zeros(input_ids.shape[0]).bool()


def _gated(function: Callable[..., None], phase: str, trainer: Trainer) -> Callable[..., None]:
    def gated(*args: Any, **kwargs: Any) -> None:
        pass_gate(phase, trainer.state.global_step)
        function(*args, **kwargs)

    return gated


pass_gate("imports", 0)
