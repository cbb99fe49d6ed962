"""Axolotl's training without Axolotl's plugins: `regrow submit CONFIG.yml --trainer trainers/axolotl_by_hand.py`.

The way back for the day when the plugin does not carry: Axolotl's own calls make the trainer, and `attach` gives it regrow's
callbacks. The same config gives the same weights as through the plugin. By hand: `python trainers/axolotl_by_hand.py CONFIG.yml`.
"""

import os
import sys
from pathlib import Path

import yaml
from axolotl.cli.args import TrainerCliArgs
from axolotl.cli.config import load_cfg
from axolotl.common.datasets import load_datasets, load_preference_datasets
from axolotl.train import execute_training, handle_untrained_tokens_fix, setup_model_and_trainer
from axolotl.utils.dict import DictDefault
from transformers import set_seed

from callbacks import attach


def main() -> None:
    config = Path(os.environ.get("REGROW_CONFIG") or sys.argv[1])
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    others = [plugin for plugin in content.pop("plugins", []) if not plugin.startswith("callbacks.")]
    content.pop("regrow", None)
    sys.argv[1:] = []  # Axolotl parses the command line again
    cfg = load_cfg(DictDefault(content | ({"plugins": others} if others else {})))
    load = load_preference_datasets if cfg.rl else load_datasets
    data = load(cfg=cfg, cli_args=TrainerCliArgs())
    set_seed(cfg.seed)  # the adapter's weights are drawn next
    trainer, model, tokenizer, *_ = setup_model_and_trainer(cfg, data)
    handle_untrained_tokens_fix(cfg, model, tokenizer, data.train_dataset)
    attach(trainer)
    execute_training(cfg, trainer, None)


if __name__ == "__main__":
    main()
