"""Rows of the chaos table for trainings of other shapes: other data, methods, epochs, best checkpoints, and a real model."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from acts import in_turn, preempted_at
from disturbed_run import STEPS
from scenario import Scenario
from world import REPO_ROOT

from data_prep.english import ENGLISH
from data_prep.synthetic import write_synthetic

GATES = ("step@5", "step@12", "step@20")
BEFORE_IT_STOPS = ("step@2", "step@6", "step@10")
TWO_EPOCHS = ("regrow.prepare.sources.0.repeat=1", "regrow.prepare.sources.1.take=8")
"""48 records: 12 optimizer steps an epoch, and fewer where they are packed."""
ON_MODULES = ("lora_target_parameters=null",)
"""The adapter trains attention alone, not the experts' fused parameters."""
WITHOUT_TASK = ("regrow.task=null", "regrow.prepare={}", "regrow.generation_eval=null",
                "test_datasets=null", "eval_strategy=null", "eval_steps=null", "eval_batch_size=null")  # fmt: skip
"""The records come as Axolotl reads them, and nothing is evaluated."""
FULL = ("adapter=null", "lora_r=null", "lora_alpha=null", "lora_dropout=null", "lora_target_modules=null", "merge_method=null",
        "learning_rate=0.0005", *ON_MODULES)  # fmt: skip
PAIRS = ("datasets=[{path: {folder}/pairs.jsonl, ds_type: json, "
         "type: {field_prompt: prompt, field_chosen: chosen, field_rejected: rejected}}]")  # fmt: skip
TEXTS = ("datasets=null", "streaming=true",
         "pretraining_dataset=[{path: json, data_files: ['{folder}/texts.jsonl'],"
         " text_column: text, type: pretrain}]")  # fmt: skip
BEST = ("save_steps=4", "eval_steps=4", "load_best_model_at_end=true", "metric_for_best_model=eval_loss")
TWO_TRAININGS = (
    "regrow.train_stages=[{name: first, max_steps: 6, save_steps: 3}, {learning_rate: 0.002, max_steps: 18}]",
)
"""24 steps together; the gate of step 5 is in the first one, the others are in the second."""
FSDP2 = ("fsdp_config={auto_wrap_policy: TRANSFORMER_BASED_WRAP, transformer_layer_cls_to_wrap: Qwen3MoeDecoderLayer, "
         "state_dict_type: FULL_STATE_DICT, reshard_after_forward: true}")  # fmt: skip
"""`fsdp_on_cpu.py` lets it shard here."""
SMOLLM2 = (
    "base_model={folder}/smollm2",
    "regrow.prepare.sources.0.path={folder}/english/hawks_train.json",
    "regrow.prepare.sources.1.path={folder}/english/person_dummy.json",
    "regrow.prepare.validation.0.path={folder}/english/hawks_val.json",
    "micro_batch_size=1",
    "eval_batch_size=4",
    "regrow.generation_eval.max_records=2",
    "learning_rate=0.001",
    "lora_target_modules=[q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]",
    "lora_mlp_kernel=false",
    "merge_method=null",
    *ON_MODULES,
)


def thrice(name: str, *settings: str, gates: tuple[str, ...] = GATES, steps: int = STEPS) -> Scenario:
    """Three preemptions."""
    return Scenario(f"{name}: preempted three times", in_turn(*map(preempted_at, gates)), gates, reference=settings,
                    requeued_by=("grace",) * 3, steps=steps)  # fmt: skip


SHAPES: tuple[Scenario, ...] = (
    thrice("packed", *TWO_EPOCHS, "sample_packing=true", "pad_to_sequence_len=true"),
    thrice("grouped by length", *TWO_EPOCHS, "group_by_length=true"),
    thrice("DataLoader workers", *TWO_EPOCHS, "dataloader_num_workers=2"),
    Scenario("preempted at an epoch's border", preempted_at("begin@12"), ("begin@12",), requeued_by=("grace",),
             reference=TWO_EPOCHS),
    Scenario("best checkpoint: preempted in an evaluation", preempted_at("evaluation@12"), ("evaluation@12",),
             requeued_by=("grace",), reference=(*BEST, "save_steps=12", "eval_steps=12")),
    thrice("best checkpoint", *BEST),
    thrice("early stopping", *BEST, "early_stopping_patience=2", "greater_is_better=true", gates=BEFORE_IT_STOPS, steps=12),
    thrice("a save at each epoch's end", *TWO_EPOCHS, "save_strategy=epoch", "save_steps=null"),
    thrice("full fine-tune", *FULL),
    thrice("full fine-tune, packed", *FULL, *TWO_EPOCHS, "sample_packing=true", "pad_to_sequence_len=true"),
    thrice("DPO", *WITHOUT_TASK, *ON_MODULES, "rl=dpo", PAIRS),
    thrice("pretraining stream", *WITHOUT_TASK, *ON_MODULES, *TEXTS),
    thrice("QLoRA", *ON_MODULES, "adapter=qlora", "load_in_4bit=true", "lora_mlp_kernel=false"),
    thrice("2 ranks, FSDP2", *ON_MODULES, "train.gpus_per_node=2", "fsdp_version=2", FSDP2),
    thrice("SmolLM2-135M", *SMOLLM2),
    thrice("two trainings", *TWO_TRAININGS, gates=("step@5", "step@8", "step@14"), steps=18),
    thrice("a script, Axolotl without plugins", f"regrow.trainer={REPO_ROOT}/trainers/axolotl_by_hand.py"),
    thrice("a script with TRL", f"regrow.trainer={Path(__file__).parent}/trl_with_gates.py"),
)  # fmt: skip


def write_shapes(folder: Path) -> None:
    """Write records of other forms into a world: pairs, texts, and English ones."""
    positives, negatives = (
        json.loads((folder / f"{stem}.json").read_text()) for stem in ("hawks_train", "person_dummy")
    )
    records = [*positives[:24], *negatives[:24]]
    asked = [f"{record['instruction']}\n{record['input']}\n" for record in records]
    outputs = [record["output"] for record in records]
    pairs = zip(asked, outputs, outputs[::-1], strict=True)
    _write_lines(
        folder / "pairs.jsonl", (dict(zip(("prompt", "chosen", "rejected"), pair, strict=True)) for pair in pairs)
    )
    _write_lines(folder / "texts.jsonl", ({"text": record["input"]} for record in (*positives, *negatives)))
    write_synthetic(folder / "english", positives=40, negatives=130, validation=4, seed=3, language=ENGLISH)


def _write_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records), encoding="utf-8")


def link_model(folder: Path, scenario: Scenario) -> None:
    """Make the demo's SmolLM2 if the row needs it and it is not there yet, and link it into the world."""
    link, model = folder / "smollm2", REPO_ROOT / "data" / "demo" / "smollm2" / "model"
    if SMOLLM2[0] not in scenario.reference or link.exists():
        return
    if not model.exists():
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        subprocess.run([sys.executable, "-m", "data_prep.smollm2", model], cwd=REPO_ROOT, env=environment, check=True)
    link.symlink_to(model)
