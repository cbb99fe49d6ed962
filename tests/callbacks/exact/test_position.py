"""The values that a trainer has stored and not yet logged come back in the trainer's own dicts."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import torch

from callbacks.exact.position import restore_metrics, stored_metrics


def trl() -> Any:
    metrics = {"train": defaultdict(list), "eval": defaultdict(list)}
    return SimpleNamespace(_metrics=metrics, _total_train_tokens=0)


def axolotl() -> Any:
    return SimpleNamespace(
        _stored_metrics=defaultdict(lambda: defaultdict(lambda: {"values": [], "reduction": "mean"}))
    )


def test_stored_values_of_trl_come_back_and_those_of_an_evaluation_do_not() -> None:
    one, other = trl(), trl()
    one._metrics["train"]["rewards"] += [1.0, torch.tensor(2.0)]
    one._metrics["eval"]["rewards"] += [9.0]
    one._total_train_tokens = 77
    restore_metrics(other, stored_metrics(one))
    assert other._metrics["train"] == {"rewards": [1.0, 2.0]}
    assert other._metrics["eval"] == {}
    assert other._total_train_tokens == 77
    other._metrics["train"]["new"].append(1.0)  # still a defaultdict


def test_values_of_a_dropped_accumulation_are_forgotten() -> None:
    trainer = trl()
    trainer._metrics["train"]["rewards"].append(1.0)
    then = stored_metrics(trainer)
    trainer._metrics["train"]["rewards"].append(2.0)
    trainer._metrics["train"]["margins"].append(3.0)
    restore_metrics(trainer, then)
    assert trainer._metrics["train"] == {"rewards": [1.0]}


def test_stored_values_of_axolotl_come_back_into_an_empty_store() -> None:
    one, other = axolotl(), axolotl()
    one._stored_metrics["train"]["ppl"]["values"].append(4.0)
    restore_metrics(other, stored_metrics(one))
    assert other._stored_metrics["train"]["ppl"] == {"values": [4.0], "reduction": "mean"}
    assert other._stored_metrics["train"]["new"] == {"values": [], "reduction": "mean"}


def test_trainer_without_a_store_and_values_that_are_no_numbers_are_left_alone() -> None:
    assert stored_metrics(SimpleNamespace()) == {}
    assert stored_metrics(SimpleNamespace(_metrics={"train": {"x": [object()]}})) == {}
