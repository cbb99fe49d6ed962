"""What was asked for beside what the trainer has: each difference is named with both values."""

from dataclasses import fields, replace
from typing import Any

import pytest

from callbacks.asked_for import HINTS, Setting, attention_name, differences

ASKED = Setting(2, "cuda", "deepspeed", "bf16", "flash_attention_2", True)


def test_nothing_is_said_where_all_is_as_asked_or_nothing_was_asked() -> None:
    assert differences(ASKED, ASKED) == []
    assert differences(Setting(), ASKED) == []


@pytest.mark.parametrize(
    ("has", "text"),
    [
        ({"world_size": 1}, "world size: asked for 2, the trainer has 1"),
        ({"device": "cpu"}, "device: asked for cuda, the trainer has cpu"),
        ({"sharding": "none"}, "sharding: asked for deepspeed, the trainer has none"),
        ({"precision": "no"}, "precision: asked for bf16, the trainer has no"),
        ({"attention": "sdpa"}, "attention: asked for flash_attention_2, the trainer has sdpa"),
        ({"evaluation": False}, "evaluation: asked for True, the trainer has False"),
    ],
)
def test_difference_is_named_with_both_values_and_a_hint(has: dict[str, Any], text: str) -> None:
    (found,) = differences(ASKED, replace(ASKED, **has))
    first, hint = found.split("\n")
    assert first == text
    assert hint.startswith("hint: ")


def test_every_setting_has_a_hint() -> None:
    assert {each.name for each in fields(Setting)} == set(HINTS)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("kernels-community/flash-attn2", "flash_attention_2"),
        ("kernels-community/flash-attn3", "flash_attention_3"),
        ("sdpa", "sdpa"),
        (None, None),
    ],
)
def test_kernel_of_the_hub_goes_by_what_it_does(name: str | None, meant: str | None) -> None:
    assert attention_name(name) == meant
