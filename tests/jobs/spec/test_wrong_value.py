"""The error for a wrong value says what was found and what to write, in our own words instead of pydantic's."""

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, PositiveInt, ValidationError

from jobs.spec.errors import ConfigError
from jobs.spec.profile import parse_profile
from jobs.spec.resolve import parse_regrow
from jobs.spec.wrong_value import wrong_values

RAW = ("Input should be", "input should be", "validation error", "unable to parse", "Field required", "pydantic")
PROFILE = {"executor": "local", "runs_root": "runs", "tracking_uri": "sqlite:///runs/mlflow.db"}


def profile_error(**changed: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        parse_profile({key: value for key, value in (PROFILE | changed).items() if value != "left out"}, "site.yml")
    return str(raised.value)


def regrow_error(section: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        parse_regrow(section, Path("x.yml"))
    return str(raised.value)


@pytest.mark.parametrize(
    ("changed", "found", "hint"),
    [
        ({"executor": "slrum"}, "site.yml.executor: found 'slrum'", "did you mean `slurm`?"),
        ({"executor": 3}, "site.yml.executor: found 3", "write `slurm` or `local`"),
        ({"executor": "left out"}, "site.yml.executor: is missing", "add this key"),
        ({"runs_root": 5}, "site.yml.runs_root: found 5", "write text"),
        ({"runs_root": "left out"}, "site.yml.runs_root: is missing", "add this key"),
        ({"offline": "perhaps"}, "site.yml.offline: found 'perhaps'", "write true or false"),
        ({"setup": "module load cuda"}, "site.yml.setup: found 'module load cuda'", "write a list"),
        ({"setup": [1]}, "site.yml.setup.0: found 1", "write text"),
        ({"prepare": "fast"}, "site.yml.prepare: found 'fast'", "write a mapping (`key: value`)"),
        ({"gpu": "A100"}, "site.yml.gpu: found 'A100'", "write a mapping (`key: value`)"),
        ({"gpu": {"name": "A100"}}, "site.yml.gpu.memory_gib: is missing", "add this key"),
        ({"gpu": {"name": "A100", "memory_gib": "big"}}, "site.yml.gpu.memory_gib: found 'big'", "write a number"),
        ({"gpu": {"name": "A100", "memory_gib": 0}}, "site.yml.gpu.memory_gib: found 0", "write a number above 0"),
        ({"gpu": {"name": "A100", "memory": 8}}, "site.yml.gpu.memory: unknown key", "did you mean `memory_gib`?"),
        ({"runs_rot": "x"}, "site.yml.runs_rot: unknown key", "did you mean `runs_root`?"),
        ({"gpu": {"name": "A100", "memory_gib": float("inf")}}, "site.yml.gpu.memory_gib: found inf", "write a finite number"),
        ({"train": {"timeout_min": "long"}}, "site.yml: train.timeout_min: found 'long'", "write a whole number"),
        ({"train": {"gpus_per_node": float("nan")}}, "site.yml: train.gpus_per_node: found nan", "write a whole number"),
        ({"train": {"cpus_per_task": 1.5}}, "site.yml: train.cpus_per_task: found 1.5", "write a whole number"),
        ({"train": {"slurm_additional_parameters": 3}}, "site.yml: train.slurm_additional_parameters: found 3",
         "write a mapping (`key: value`)"),
        ({"train": {"slurm_srun_args": "-v"}}, "site.yml: train.slurm_srun_args: found '-v'", "write a list of texts"),
        ({"train": {"slurm_mem": [3]}}, "site.yml: train.slurm_mem: found [3]", "write text or a number"),
        ({"evaluate": {"slurm_array_parallelism": "x"}}, "evaluate.slurm_array_parallelism: found 'x'", "write a whole number"),
        ({"train": {"mem_gb": float("inf")}}, "site.yml: train.mem_gb: found inf", "write a number"),
    ],
)  # fmt: skip
def test_profile_says_what_was_found_and_what_to_write(changed: dict[str, Any], found: str, hint: str) -> None:
    said = profile_error(**changed)
    assert f"{found}\nhint: {hint}" in said
    assert not [words for words in RAW if words in said]


@pytest.mark.parametrize(
    ("section", "found", "hint"),
    [
        ({"requeue": {"prefer": "succesor"}}, "requeue.prefer: found 'succesor'", "did you mean `successor`?"),
        ({"requeue": {"max_crashes": -1}}, "requeue.max_crashes: found -1", "write a number, 0 or more"),
        ({"requeue": {"max_crashes": 1.5}}, "requeue.max_crashes: found 1.5", "write a whole number"),
        ({"evaluate": {"checkpoints": "newest"}}, "evaluate.checkpoints: found 'newest'", "write `last` or a whole number"),
        ({"evaluate": {"checkpoints": 0}}, "evaluate.checkpoints: found 0", "write `last` or a number above 0"),
        ({"evaluate": {"checkpoints": "lst"}}, "evaluate.checkpoints: found 'lst'", "did you mean `last`?"),
        ({"evaluate": {"top_p": 1.5}}, "evaluate.top_p: found 1.5", "write a number, 1 or less"),
        ({"prepare": {"sources": "x.json"}}, "prepare.sources: found 'x.json'", "write a list"),
        ({"prepare": {"sources": [{}]}}, "prepare.sources.0.path: is missing", "add this key"),
        ({"prepare": {"sources": ["x.json"]}}, "prepare.sources.0: found 'x.json'", "write a mapping (`key: value`)"),
        ({"prepare": {"sources": [{"path": "x", "tkae": 3}]}}, "prepare.sources.0.tkae: unknown key", "did you mean `take`?"),
        ({"deterministic": "so"}, "deterministic: found 'so'", "write true or false"),
        ({"task": {"kind": "extraction", "fields": "name"}}, "task.fields: found 'name'", "write a list"),
        ({"task": {"kind": "label", "lables": []}}, "task.lables: unknown key", "did you mean `labels`?"),
    ],
)  # fmt: skip
def test_regrow_section_says_what_was_found_and_what_to_write(section: dict[str, Any], found: str, hint: str) -> None:
    said = regrow_error(section)
    assert said == f"x.yml: regrow.{found}\nhint: {hint}"


def test_section_that_is_no_mapping_is_named_as_a_whole() -> None:
    assert regrow_error("all") == "x.yml: regrow: found 'all'\nhint: write a mapping (`key: value`)"


def test_several_wrong_values_have_a_hint_each() -> None:
    said = regrow_error({"deterministic": 7, "evaluate": {"shards": 0}})
    assert said.count("\nhint: ") == 2


class Plain(BaseModel):
    split: str = ""
    path: str = ""


class Made(BaseModel):
    path: Literal["synthetic"]
    split: str = ""
    most: PositiveInt


class Config(BaseModel):
    sets: list[Plain | Made] = []
    names: str | list[str] = ""
    kind: Literal["auto"] | bool = False
    template: Literal["qwen3", "qwen3_5", "llama3"] | int = 1
    size: int = Field(default=1, multiple_of=8)


def found_in(content: dict[str, Any]) -> list[tuple[str, str, str]]:
    with pytest.raises(ValidationError) as raised:
        Config(**content)
    return [(".".join(wrong.key), wrong.found, wrong.fix) for wrong in wrong_values(raised.value, content)]


def test_of_several_classes_the_one_that_fits_best_is_spoken_of() -> None:
    assert found_in({"sets": [{"split": 5, "path": "x"}]}) == [("sets.0.split", "found 5", "write text")]


def test_of_several_kinds_the_one_whose_form_fits_is_spoken_of() -> None:
    assert found_in({"names": ["x", 3]}) == [("names.1", "found 3", "write text")]


def test_all_kinds_that_may_stand_there_are_named() -> None:
    assert found_in({"names": 3}) == [("names", "found 3", "write text or a list")]
    assert found_in({"kind": "maybe"}) == [("kind", "found 'maybe'", "write `auto`, true or false")]


def test_nearest_values_are_named_where_some_are_near() -> None:
    ((_, found, fix),) = found_in({"template": "qwen3_instruct"})
    assert (found, fix) == ("found 'qwen3_instruct'", "did you mean `qwen3_5` or `qwen3`?")


def test_kind_of_error_without_words_of_its_own_does_not_repeat_pydantic() -> None:
    ((_, found, fix),) = found_in({"size": 3})
    assert (found, fix) == ("found 3", "write a multiple of 8")


def test_long_value_is_cut() -> None:
    ((_, found, _),) = found_in({"names": {"x": "y" * 500}})
    assert len(found) < 100
