"""Checkpoints of a real Trainer: whole or not there, removed by step, and never changed by an attempt that has lost its lease."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from line import Line, Numbers
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.exact import checkpoint_manifest
from callbacks.exact.checkpoint_manifest import CheckpointManifest
from callbacks.shared.from_stage import LEASE_ENV
from callbacks.shared.journal import JOURNAL_ENV, Journal
from callbacks.shared.manifest import checkpoints, torn_reason


class Worse(TrainerCallback):
    """The evaluations get worse with each step, and each checkpoint gets an older time than the one before."""

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        assert metrics is not None
        metrics["eval_loss"] = float(state.global_step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        checkpoint = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        os.utime(checkpoint, (1e9 - state.global_step,) * 2)


def train(folder: Path, **settings: Any) -> Trainer:
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=6, save_steps=1, eval_strategy="steps", eval_steps=1, logging_steps=1,
        use_cpu=True, report_to=[], seed=3, disable_tqdm=True, **settings,
    )  # fmt: skip
    torch.manual_seed(3)
    trainer = Trainer(Line(), arguments, train_dataset=Numbers(), eval_dataset=Numbers())
    journal = Journal(folder / "journal" / "train-1-0-rank0.jsonl")
    for callback in (CheckpointManifest(trainer, journal), Worse()):
        trainer.add_callback(callback)
    trainer.train()
    return trainer


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({}, [6, 5, 4, 3, 2, 1]),
        ({"save_total_limit": 2}, [6, 5]),
        ({"save_total_limit": 1}, [6]),
        ({"save_total_limit": 2, "load_best_model_at_end": True, "metric_for_best_model": "loss"}, [6, 1]),
        ({"save_total_limit": 1, "load_best_model_at_end": True, "metric_for_best_model": "loss"}, [6, 1]),
    ],
)
def test_newest_and_best_stay_whatever_the_folders_times_are(
    tmp_path: Path, settings: dict[str, Any], left: list[int]
) -> None:
    trainer = train(tmp_path, **settings)
    assert [path.name for path in checkpoints(tmp_path)] == [f"checkpoint-{step}" for step in left]
    assert [torn_reason(path) for path in checkpoints(tmp_path)] == [""] * len(left)
    assert not list(tmp_path.glob(".making-*"))
    if "load_best_model_at_end" in settings:
        assert trainer.state.best_model_checkpoint == str(tmp_path / "checkpoint-1")


class Left(Exception):
    """Stands for the process's end."""


def test_attempt_that_has_lost_its_lease_makes_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(code: int) -> None:
        raise Left(code)

    lease = tmp_path / "lease"
    lease.write_text("train-1-1", encoding="utf-8")
    monkeypatch.setenv(LEASE_ENV, str(lease))
    monkeypatch.setenv(JOURNAL_ENV, str(tmp_path / "journal" / "train-1-0"))
    monkeypatch.setattr(checkpoint_manifest, "TAKEN_OVER_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint_manifest, "leave_now", leave)
    with pytest.raises(Left):
        train(tmp_path / "out")
    assert not checkpoints(tmp_path / "out")
    lease.write_text("train-1-0", encoding="utf-8")
    train(tmp_path / "out")
    assert len(checkpoints(tmp_path / "out")) == 6
