"""The properties of the trainings that are stopped and compared, with the settings that each value means."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainings import FOLDER

STEPS = 24
BASE: dict[str, Any] = {
    "max_steps": STEPS,
    "micro_batch_size": 4,
    "eval_batch_size": 12,
    "eval_steps": 6,
    "save_steps": 6,
    "logging_steps": 5,
    "save_total_limit": 2,
    "warmup_steps": 3,
    "warmup_ratio": None,
    "cosine_min_lr_ratio": None,
    "learning_rate": 0.002,
    "regrow": {"generation_eval": None, "audit": True},
}
Values = Mapping[str, Mapping[str, Any]]
"""Of one property: each value's name, and the settings that it means."""
PACKED = {"sample_packing": True, "pad_to_sequence_len": True, "sequence_len": 512, "micro_batch_size": 1}
BEST = {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss", "greater_is_better": False}
ALONE = {"test_datasets": None, "eval_strategy": "no", "eval_steps": None}
"""Without an evaluation: other data sets than the records have no validation records here."""
PREFERENCES = {"path": f"{FOLDER}/preferences.jsonl", "ds_type": "json", "split": "train"}
KTO = {"field_prompt": "question", "field_completion": "completion", "field_label": "label", "prompt_format": "{prompt}",
       "completion_format": "{completion}"}  # fmt: skip
ANSWERS = PREFERENCES | {"path": f"{FOLDER}/answers.jsonl"}
REWARD = {
    "reward_model": True,
    "model_type": "AutoModelForSequenceClassification",
    "num_labels": 1,
    "chat_template": "chatml",
    "remove_unused_columns": False,
    "lora_mlp_kernel": False,
    "lora_qkv_kernel": False,
    "lora_o_kernel": False,
    "datasets": [PREFERENCES | {"type": "bradley_terry.chat_template"}],
}
TEXTS = {
    "path": "json",
    "data_files": [f"{FOLDER}/texts.jsonl"],
    "type": "pretrain",
    "text_column": "text",
    "split": "train",
}
TOGETHER: Sequence[tuple[Mapping[str, str], Mapping[str, Any]]] = (
    ({"optimizer": "adafactor", "scheduler": "one_cycle"}, {"lr_scheduler_kwargs": {"cycle_momentum": False}}),
    *(
        ({"order": order, "ranks": "4, DDP", "best": best}, {"eval_sample_packing": False, "eval_batch_size": 1})
        for order in ("packed", "packed in sequence", "packed, real batches")
        for best in ("loaded at the end", "early stopping")
    ),
)
"""What some values need together: adafactor has no momentum; packed, the validation records are less than a batch a rank, and
then HF's Trainer has no loss to compare."""
PROPERTIES: Mapping[str, Values] = {
    "order": {
        "random": {},
        "packed": PACKED,
        "packed in sequence": PACKED | {"curriculum_sampling": True, "sample_packing_sequentially": True},
        "packed, real batches": PACKED | {"multipack_real_batches": True, "micro_batch_size": 2, "sequence_len": 256},
        "grouped by length": {"group_by_length": True},
        "as in the file": {"curriculum_sampling": True},
    },
    "method": {
        "LoRA": {},
        "LoRA, dropout": {"lora_dropout": 0.1, "lora_target_parameters": None},
        "DoRA": {"peft_use_dora": True, "lora_target_parameters": None},
        "rsLoRA": {"peft_use_rslora": True},
        "PiSSA": {"peft_init_lora_weights": "pissa", "lora_target_parameters": None},
        "LoRA+": {"loraplus_lr_ratio": 8.0},
        "full": {"adapter": None, "learning_rate": 0.0002},
        "full, NEFTune": {"adapter": None, "neftune_noise_alpha": 5, "learning_rate": 0.0002},
    },
    "data": {
        "records": {},
        "DPO": ALONE | {"rl": "dpo", "datasets": [PREFERENCES | {"type": "chatml.intel"}]},
        "IPO": ALONE | {"rl": "ipo", "datasets": [PREFERENCES | {"type": "chatml.intel"}]},
        "SimPO": ALONE
        | {"rl": "simpo", "datasets": [PREFERENCES | {"type": "chatml.intel"}], "rl_beta": 2.0, "simpo_gamma": 0.5},
        "KTO": ALONE | {"rl": "kto", "datasets": [PREFERENCES | {"type": KTO}], "remove_unused_columns": False},
        "ORPO": ALONE
        | {"rl": "orpo", "datasets": [ANSWERS | {"type": "chat_template.argilla"}], "chat_template": "chatml"},
        "reward model": ALONE | REWARD,
        "stream": ALONE
        | PACKED
        | {"pretraining_dataset": [TEXTS], "datasets": None, "pretrain_multipack_buffer_size": 10, "sequence_len": 256},
    },
    "optimizer": {
        name: {"optimizer": name}
        for name in (
            "adamw_torch",
            "adamw_torch_fused",
            "adamw_8bit",
            "adafactor",
            "sgd",
            "rmsprop",
            "lion_32bit",
            "schedule_free_adamw",
        )
    },
    "scheduler": {
        name: {"lr_scheduler": name}
        for name in ("cosine", "linear", "constant_with_warmup", "cosine_with_restarts", "one_cycle", "rex")
    }
    | {"cosine to a tenth": {"cosine_min_lr_ratio": 0.1}}
    | {"warmup_stable_decay": {"lr_scheduler": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 8}}}
    | {"reduce_lr_on_plateau": {"lr_scheduler": "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"patience": 0}}},
    "best": {
        "none": {},
        "loaded at the end": BEST,
        "early stopping": BEST | {"early_stopping_patience": 2},
    },
    "length": {"24 steps": {}, "4.5 epochs": {"num_epochs": 4.5, "max_steps": None}},
    "validation": {"a file": {}, "split off": {"test_datasets": None, "val_set_size": 0.2}},
    "saves": {
        "every 6 steps": {},
        "twice an epoch": {"saves_per_epoch": 2, "save_steps": None, "evals_per_epoch": 2, "eval_steps": None},
        "every epoch": {"save_strategy": "epoch", "save_steps": None, "eval_strategy": "epoch", "eval_steps": None},
        "one kept": {"save_total_limit": 1},
    },
    "accumulation": {str(count): {"gradient_accumulation_steps": count} for count in (1, 2, 3)},
    "workers": {"0": {}, "2": {"dataloader_num_workers": 2, "dataloader_prefetch_factor": 2}},
    "precision": {"float32": {}, "bfloat16": {"bf16": True}},
    "checkpointing": {"off": {}, "on": {"gradient_checkpointing": True}},
    "ranks": {
        "1": {},
        "2, DDP": {"ranks": 2},
        "4, DDP": {"ranks": 4, "ddp_find_unused_parameters": True, "micro_batch_size": 1},
        "2, ZeRO-2": {"ranks": 2, "deepspeed": "deepspeed_configs/zero2.json"},
    },
    "stopped": {
        "in the warm-up": {"stops": ["step@2"]},
        "at an epoch's border": {"stops": ["step@border"]},
        "after an epoch's border": {"stops": ["step@border+1"]},
        "in a later epoch": {"stops": ["step@70%"]},
        "in an accumulation": {"stops": ["accumulation@40%"]},
        "in an evaluation": {"stops": ["evaluation@first"]},
        "in the last evaluation": {"stops": ["evaluation@last"]},
        "at the last step": {"stops": ["step@100%-1", "step@100%"]},
        "three times": {"stops": ["step@2", "evaluation@first", "step@80%"]},
        "three steps in a row": {"stops": ["step@40%", "step@40%+1", "step@40%+2"]},
        "twice before one step": {"stops": ["begin@40%", "begin@40%"]},
        "twice in one evaluation": {"stops": ["evaluation@first", "evaluation@first"]},
        "in a save": {"stops": ["save@saved"]},
        "killed in a save": {"stops": ["kill@saved+1"]},
        "killed in a step": {"stops": ["die@40%", "die@70%"]},
    },
}
