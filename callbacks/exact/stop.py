"""GracefulStop: when the stage asks for a stop, saves the last completed step at once and leaves."""

from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.exact.callback_states import CallbackStates
from callbacks.exact.position import restore_metrics, stored_metrics
from callbacks.exact.rng import RngState
from callbacks.shared import events
from callbacks.shared.journal import Journal
from callbacks.shared.manifest import NOTHING, Owed
from callbacks.shared.process.interpreter import leave_now
from callbacks.shared.stop_file import EXIT_STOPPED, is_asked_to_stop


class StopRequest:
    """Whether the ranks must stop: each rank looks, and all agree on the answer."""

    def __init__(self, file: Path | None, timeout: timedelta | None = None) -> None:
        """`timeout`: how long a rank waits for the others (`ddp_timeout`); None: torch's default, 30 minutes."""
        self._file = file
        is_distributed = file is not None and dist.is_available() and dist.is_initialized()
        self._group: Any = dist.new_group(backend="gloo", timeout=timeout) if is_distributed else None

    def is_made(self) -> bool:
        """This rank's own answer, for places where the ranks are not in step."""
        return self._file is not None and is_asked_to_stop(self._file)

    def is_agreed(self) -> bool:
        """The same answer on every rank: True as soon as one rank sees the request. Every rank must ask at the same place."""
        if self._group is None:
            return self.is_made()
        seen = torch.tensor(int(self.is_made()))
        dist.all_reduce(seen, op=dist.ReduceOp.MAX, group=self._group)
        return bool(seen.item())

    def wait_for_all(self) -> None:
        if self._group is not None:
            dist.barrier(group=self._group)


class GracefulStop(TrainerCallback):
    """Looks for a request at every micro-batch and evaluation batch. The checkpoint then has the state at the end of the last
    step: a partial accumulation is dropped, its random numbers are restored, and an interrupted evaluation is owed.

    It also restores the random numbers after each evaluation, so that the weights do not depend on how often the training
    evaluates, or on evaluations that were done again.
    """

    def __init__(self, trainer: Trainer, request: StopRequest, journal: Journal | None, owed: Owed = NOTHING) -> None:
        """`owed`: what was cut short at the step that the training resumes from."""
        self.trainer, self.request = trainer, request
        self.journal = journal
        """Rank 0's journal; None on the other ranks."""
        self.is_evaluating = False
        self._owed = owed
        self._saved_step = 0
        self._rng = RngState.now()
        self._states = CallbackStates(trainer)
        self._states_then = self._states.now()
        """The other callbacks' states at the end of the last step, before its evaluation."""
        self._sums = _Sums(0.0, 0, torch.tensor(0.0), {})

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Make up an evaluation that is owed, as it comes after a step: best metric, schedulers that wait for a metric."""
        self._saved_step = state.global_step
        self._rng = RngState.now()
        if self._owed.evaluation:
            control.should_evaluate, control.should_save = True, self._owed.save
            trainer = self.trainer
            trainer._maybe_log_save_evaluate(trainer._tr_loss, None, trainer.model_wrapped, None, 0.0, None, 0.0)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._leave_if_agreed("step")
        self._sums = _Sums.of(self.trainer)

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._leave_if_agreed("accumulation")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._rng, self._states_then = RngState.now(), self._states.now()

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.is_evaluating = True
        self._leave_if_agreed("evaluation")

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.is_evaluating = False
        self._rng.restore()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._saved_step = state.global_step

    def leave(self, phase: str) -> NoReturn:
        """Save, unless the last step is already saved, and end this process. Every rank must call it."""
        trainer, state = self.trainer, self.trainer.state
        if phase == "accumulation":
            self._sums.restore(trainer)
        if state.global_step > self._saved_step:
            self._rng.restore()
            if self.is_evaluating:
                self._forget_evaluation()
            trainer._save_checkpoint(trainer.model_wrapped, trial=None)
            if not (self.is_evaluating and trainer.control.should_save):  # else the save is owed with the evaluation
                trainer.callback_handler.on_save(trainer.args, state, trainer.control)
        if self.journal:
            owed = self.is_evaluating
            self.journal.write(events.Stopped(step=state.global_step, phase=phase, evaluation_owed=owed))
        self.request.wait_for_all()
        leave_now(EXIT_STOPPED)

    def _forget_evaluation(self) -> None:
        """What a part of an evaluation has changed: counters of other callbacks, and its rows in the Trainer's log."""
        self._states.restore(self._states_then)
        state = self.trainer.state
        state.log_history = [
            row
            for row in state.log_history
            if row["step"] < state.global_step or not any(name.startswith("eval_") for name in row)
        ]

    def _leave_if_agreed(self, phase: str) -> None:
        if self.request.is_agreed():
            self.leave(phase)


class _Sums:
    """The sums that the Trainer updates at every micro-batch."""

    def __init__(self, flos: float, tokens: int, loss: torch.Tensor, metrics: dict[str, Any]) -> None:
        self._flos, self._tokens, self._loss, self._metrics = flos, tokens, loss, metrics

    @classmethod
    def of(cls, trainer: Trainer) -> "_Sums":
        return cls(
            trainer.current_flos, trainer.state.num_input_tokens_seen, trainer._tr_loss.clone(), stored_metrics(trainer)
        )

    def restore(self, trainer: Trainer) -> None:
        trainer.current_flos, trainer.state.num_input_tokens_seen = self._flos, self._tokens
        trainer._tr_loss = self._loss
        restore_metrics(trainer, self._metrics)
