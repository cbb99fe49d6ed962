"""Shapes of training that once came back different after a stop."""

import pytest
from comparison import COMPARED
from entries import named
from properties import BASE, BEST, PACKED
from trainings import Trainings

from callbacks.shared.journal import read_journal

PLATEAU = {"lr_scheduler": "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"patience": 0}, "learning_rate": 0.05}
SHAPES = {
    "packed": (PACKED, ["step@4", "step@border+1"]),
    "grouped by length": ({"group_by_length": True}, ["step@border+1"]),
    "full mixture of experts": ({"adapter": None, "learning_rate": 0.0002}, ["step@5"]),
    "DoRA, fused optimizer": (
        {"peft_use_dora": True, "lora_target_parameters": None, "optimizer": "adamw_torch_fused"},
        ["step@5"],
    ),
    "best checkpoint, in an evaluation": (BEST | PLATEAU, ["evaluation@first", "evaluation@last"]),
    "early stopping, in an evaluation": (
        BEST | {"early_stopping_patience": 1, "learning_rate": 0.05, "eval_steps": 2, "save_steps": 2},
        ["evaluation@first", "evaluation@last"],
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_stopped_training_ends_as_the_undisturbed_one(trainings: Trainings, shape: str) -> None:
    settings, stops = SHAPES[shape]
    slug = "".join(c if c.isalnum() else "-" for c in shape)
    whole = trainings.train(f"{slug}-whole", BASE | settings)
    stopped = trainings.train(f"{slug}-stopped", BASE | settings, [whole.moment(stop) for stop in stops])
    for get in COMPARED.values():
        assert get(stopped) == get(whole)
    assert [entry.step for entry in named(read_journal(stopped.folder.parent / "journal"), "finished")]


def test_every_rank_finds_the_best_checkpoint(trainings: Trainings) -> None:
    best = trainings.train(
        "best-of-two-ranks", BASE | BEST | {"max_steps": 6, "eval_steps": 3, "save_steps": 3}, ranks=2
    )
    assert best.state["best_model_checkpoint"] == str(best.folder / f"checkpoint-{best.state['best_global_step']}")
    assert "may not be saved correctly" not in best.log  # a rank that finds no file there only warns
