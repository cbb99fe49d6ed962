"""Our errors for values that Axolotl rejects: they name the value found, and the nearest known value or the expected kind."""

import json
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import pytest

RAW = ("Input should be", "validation error", "unable to parse", "Field required", "should match pattern", "pydantic")
BASE: dict[str, Any] = {
    "base_model": "m", "datasets": [{"path": "r.json", "type": "alpaca"}], "micro_batch_size": 1, "num_epochs": 1,
    "gradient_accumulation_steps": 1, "learning_rate": 1e-4,
}  # fmt: skip
WRONG: dict[str, tuple[Any, str, str]] = {
    "chat_template": ("qwen3_instruct", "found 'qwen3_instruct'", "`qwen3`"),
    "rl": ("dop", "found 'dop'", "did you mean `dpo`"),
    "bf16": ("maybe", "found 'maybe'", "write `auto`, true or false"),
    "sequence_len": ("long", "found 'long'", "write a whole number"),
    "lora_r": (1.5, "found 1.5", "write a whole number"),
    "warmup_ratio": ("some", "found 'some'", "write a number"),
    "sample_packing": ("maybe", "found 'maybe'", "write true or false"),
    "lora_target_modules": (5, "found 5", "write text or a list"),
    "wandb_project": (3, "found 3", "write text"),
    "optimizer": ("adamw_troch", "found 'adamw_troch'", "did you mean `adamw_torch`"),
    "lr_scheduler": ("cosin", "found 'cosin'", "did you mean `cosine`"),
    "peft": ({"loftq_config": 5}, "found 5", "write a mapping"),
    "attn_implementation": ("flash_attention", "flash_attention", "did you mean `flash_attention_"),
}
"""Key → a wrong value; what the error must say that it found; what it must say to write."""
DATASET = {"datasets": [{"path": "r.json", "type": "alpaca", "split": 5}]}
CONFIGS: dict[str, dict[str, Any]] = {
    "wrong": BASE | {key: value for key, (value, _, _) in WRONG.items()},
    "nested": BASE | DATASET,
    "missing": BASE | {"base_model": None},
    "adapter": BASE | {"adapter": "loar"},
    "strategy": BASE | {"datasets": [{"path": "r.json", "type": "completoin"}]},
}
SWEPT: tuple[Any, ...] = ("qqq", 7.5, [["x"]], {"x": "y"})
"""The test sets each key of Axolotl's schema to each of these values."""
ASK = """
import json, sys
from axolotl.utils.schemas.config import AxolotlConfigWCapabilities as Model
from jobs.check.shared.axolotl_values import _misfits
from jobs.check.shared.probe import schema
configs, swept = json.loads(sys.argv[2])
answers = {name: schema({"config": config, "plugins": [], "gpus": 0})["rejected"] for name, config in configs.items()}
misfits = [[*wrong.key, wrong.found, wrong.fix] for value in swept
           for wrong in _misfits(Model, dict.fromkeys(Model.model_fields, value))]
open(sys.argv[1], "w").write(json.dumps([answers, misfits]))
"""
Answers = tuple[dict[str, list[dict[str, Any]]], list[list[str]]]


@pytest.fixture(scope="module")
def answers(
    run_python: Callable[[Sequence[str]], subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> Answers:
    """The errors for each config, and for each key with each swept value. One child finds all: Axolotl's import takes seconds."""
    file = tmp_path_factory.mktemp("values") / "answers.json"
    done = run_python(["-c", ASK, str(file), json.dumps([CONFIGS, SWEPT])])
    assert done.returncode == 0, done.stderr[-2000:]
    rejected, misfits = json.loads(file.read_text(encoding="utf-8"))
    return rejected, misfits


def by_key(answers: Answers, name: str) -> dict[str, tuple[str, str]]:
    return {".".join(each["key"]): (each["found"], each["fix"]) for each in answers[0][name]}


@pytest.mark.train
@pytest.mark.parametrize("key", WRONG)
def test_wrong_value_is_found_with_what_to_write(answers: Answers, key: str) -> None:
    _, said, hint = WRONG[key]
    found = by_key(answers, "wrong")
    found_here, fix = found["peft.loftq_config" if key == "peft" else key]
    assert said in found_here
    assert hint in fix


@pytest.mark.train
def test_nested_wrong_value_is_named_alone(answers: Answers) -> None:
    assert by_key(answers, "nested") == {"datasets.0.split": ("found 5", "write text")}


@pytest.mark.train
def test_required_key_that_is_missing_is_named(answers: Answers) -> None:
    assert by_key(answers, "missing")["base_model"] == ("is missing", "add this key")


@pytest.mark.train
def test_unknown_adapter_and_strategy_have_neighbours(answers: Answers) -> None:
    found, fix = by_key(answers, "adapter")["adapter"]
    assert "'loar'" in found
    assert "did you mean `lora`" in fix
    found, fix = by_key(answers, "strategy")["datasets.0.type"]
    assert found == "Axolotl has no prompt strategy `completoin`"
    assert fix.startswith("did you mean `completion`")


@pytest.mark.train
def test_no_key_of_axolotls_is_answered_in_pydantics_words(answers: Answers) -> None:
    rejected, misfits = answers
    assert len(misfits) > 500
    assert [words for words in RAW if words in json.dumps(rejected)] == []
    assert [each for each in misfits if any(words in json.dumps(each) for words in RAW)] == []
    assert [
        each for each in misfits if not each[-2].startswith("found") and "is missing" not in each[-2] and not each[-1]
    ] == []
    assert [each for each in misfits if "another kind" in each[-1]] == []
