"""An Axolotl plugin for tests: the model card cannot be written, as where an evaluation has other columns than the first."""

from typing import Any

from axolotl.integrations.base import BasePlugin
from transformers import Trainer, TrainerCallback


class BrokenCard(BasePlugin):
    """Fails where transformers' own card fails (`make_markdown_table`, a KeyError)."""

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Trainer) -> list[TrainerCallback]:
        trainer.create_model_card = _fail
        return []


def _fail(**kwargs: Any) -> None:
    raise KeyError("Gen Json Parse Rate")
