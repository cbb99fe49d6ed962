"""The states of callbacks that have one (transformers' ExportableState), such as the patience of early stopping."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback
from transformers.trainer_callback import ExportableState


class CallbackStates:
    """Restores what HF saves in trainer_state.json but does not load, unless it may make new callbacks in another order."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def save(self, checkpoint: Path) -> None:
        """HF has saved them."""

    def load(self, checkpoint: Path) -> None:
        """Set the attributes that were saved. Callbacks of one class have their states in a list, in order."""
        saved = self._trainer.state.stateful_callbacks
        states = {name: [state] if isinstance(state, dict) else list(state) for name, state in saved.items()}
        for callback in self._callbacks():
            if left := states.get(type(callback).__name__):
                _set(callback, left.pop(0).get("attributes", {}))

    def now(self) -> list[tuple[TrainerCallback, dict[str, Any]]]:
        """Each callback and its attributes."""
        return [(callback, deepcopy(callback.state().get("attributes", {}))) for callback in self._callbacks()]

    def restore(self, states: list[tuple[TrainerCallback, dict[str, Any]]]) -> None:
        """Set what `now` has returned."""
        for callback, attributes in states:
            _set(callback, attributes)

    def _callbacks(self) -> list[Any]:
        return [each for each in self._trainer.callback_handler.callbacks if isinstance(each, ExportableState)]


def _set(callback: Any, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        setattr(callback, name, deepcopy(value))
