"""A training with TRL as people write it; two lines are regrow's. `python bare_trl.py MODEL OUTPUT_DIR`, or in a job."""

import os
import sys
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import LoraConfig
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from trl import SFTConfig, SFTTrainer

from callbacks import attach

MODEL = os.environ.get("BARE_TRL_MODEL") or sys.argv[1]
OUTPUT = Path(os.environ.get("BARE_TRL_OUTPUT") or sys.argv[2])
STOPS_AT = int(os.environ.get("BARE_TRL_STOPS_AT", "0"))


class Asks(TrainerCallback):
    """Somebody who asks for a stop in a step."""

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if STOPS_AT and state.global_step == STOPS_AT:
            Path(os.environ["REGROW_STOP_FILE"]).write_text("stop\n")


def main() -> None:
    set_seed(3)
    texts = [f"{number} + 1 = {number + 1}" for number in range(40)]
    trainer = SFTTrainer(
        AutoModelForCausalLM.from_pretrained(MODEL),
        SFTConfig(str(OUTPUT), max_steps=6, per_device_train_batch_size=2, gradient_accumulation_steps=2, save_steps=100,
                  learning_rate=0.01, logging_steps=1, report_to=[], use_cpu=True, seed=3, packing=False, max_length=64),
        train_dataset=Dataset.from_list([{"text": text} for text in texts]),
        processing_class=AutoTokenizer.from_pretrained(MODEL),
        peft_config=LoraConfig(r=4, lora_dropout=0.1, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
        callbacks=[Asks()],
    )  # fmt: skip
    attach(trainer)
    trainer.train(resume_from_checkpoint=(OUTPUT / "checkpoint-6").exists())
    trainer.save_model(str(OUTPUT / "kept"))


if __name__ == "__main__":
    main()
