"""An Axolotl plugin for tests: writing the model card fails, as it does if an evaluation has other columns than the first."""

from typing import Any

from axolotl.integrations.base import BasePlugin
from transformers import Trainer, TrainerCallback


class BrokenCard(BasePlugin):
    """Raises the KeyError that transformers' own card raises in `make_markdown_table`."""

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Trainer) -> list[TrainerCallback]:
        trainer.create_model_card = _fail
        return []


def _fail(**kwargs: Any) -> None:
    raise KeyError("Gen Json Parse Rate")
