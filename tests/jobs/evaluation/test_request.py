"""The arguments of `regrow evaluate`: the models that they name, where each setting comes from, and what is refused."""

import json
from pathlib import Path

import pytest
from world import REPO_ROOT, World

from callbacks.shared import events
from callbacks.shared.journal import Journal
from callbacks.shared.manifest import write_manifest
from jobs.evaluation.parts import Part, part_of_evaluation, prompt_format, with_settings_of
from jobs.evaluation.request import Request, evaluation_spec
from jobs.spec.errors import ConfigError
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import RunSpec, write_run


@pytest.fixture
def here(world: World, tmp_path: Path) -> World:
    """A world with two runs: `done` has finished at step 6, `going` has saved two checkpoints."""
    own = World(tmp_path, world.environment)
    for name, finished in (("done", True), ("going", False)):
        spec = load_run_spec(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml", "local", [*_settings(own), "seed=7"], name)
        write_run(spec)
        journal = Journal.of_writer(str(spec.paths.journal / "train-1-0"), "rank0")
        folders = [spec.paths.checkpoints / f"checkpoint-{step}" for step in (3, 6)]
        if finished:
            journal.write(events.Finished(step=6))
            folders.append(spec.paths.checkpoints)
        for folder in folders:
            folder.mkdir(exist_ok=True)
            (folder / "adapter_config.json").write_text("{}")
        for step in (3, 6):
            write_manifest(spec.paths.checkpoints / f"checkpoint-{step}", step=step, world_size=1)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "config.json").write_text("{}")
    (tmp_path / "headless").mkdir()
    (tmp_path / "headless" / "adapter_config.json").write_text(f'{{"base_model_name_or_path": "{tmp_path}/nowhere"}}')
    torn = tmp_path / "torn" / "checkpoints" / "checkpoint-3"
    torn.mkdir(parents=True)
    (torn / "adapter_config.json").write_text("{}")
    (tmp_path / "torn" / "run.json").write_bytes((own.runs_root / "going" / "run.json").read_bytes())
    record = {"instruction": "誰か", "input": "晴れ。", "output": '{"offenders": []}'}
    (tmp_path / "records.json").write_text(json.dumps([record] * 5), encoding="utf-8")
    return own


def _settings(world: World) -> list[str]:
    return [f"runs_root={world.folder}/runs", f"tracking_uri={world.tracking_uri}"]


def spec_of(
    world: World, *models: str, settings: tuple[str, ...] = (), data: str = "records.json", **more: object
) -> RunSpec:
    request = Request(models, world.folder / data, settings=[*_settings(world), *settings], **more)  # type: ignore[arg-type]
    return evaluation_spec(request)


def names(spec: RunSpec) -> list[str]:
    assert spec.evaluation
    return [model.name for model in spec.evaluation.models]


def test_runs_checkpoints_and_folders_are_models(here: World) -> None:
    checkpoint, plain = f"{here.runs_root}/going/checkpoints/checkpoint-3", f"{here.folder}/plain"
    spec = spec_of(here, "done", checkpoint, plain)
    assert names(spec) == ["done", "going-checkpoint-3", "plain"]
    assert spec.evaluation
    assert [model.step for model in spec.evaluation.models] == [6, 3, None]
    assert [bool(model.run_dir) for model in spec.evaluation.models] == [True, True, False]
    assert names(spec_of(here, "going", checkpoints="all")) == ["going-checkpoint-6", "going-checkpoint-3"]
    assert names(spec_of(here, "going", checkpoints="1")) == ["going-checkpoint-6"]
    assert names(spec_of(here, f"{here.runs_root}/done/checkpoints")) == ["done"]


def test_evaluation_is_a_run_of_its_own_with_the_training_runs_prompts(here: World) -> None:
    spec = spec_of(here, "done", shards=3, name="mine", settings=("regrow.evaluate.max_new_tokens=9",))
    trained = RunSpec.load(here.runs_root / "done")
    assert spec.stages == ("evaluate", "report")
    assert spec.run_uuid != trained.run_uuid
    assert spec.paths.run_dir == here.runs_root / "mine"
    assert prompt_format(spec) == prompt_format(trained)
    assert spec.axolotl["test_datasets"][0]["path"] == str(here.folder / "records.json")
    assert (spec.axolotl["seed"], spec.regrow.evaluate.max_new_tokens, spec.regrow.evaluate.shards) == (7, 9, 3)
    assert [spec.parts(stage) for stage in ("evaluate", "report")] == [3, 1]
    parts = [part_of_evaluation(spec, number) for number in range(3)]
    assert [part.file.name for part in parts if part] == [f"shard-{number}-of-3.jsonl" for number in range(3)]


def test_parts_count_through_the_shards_of_each_model(here: World) -> None:
    spec = spec_of(here, "going", checkpoints="all", shards=2)
    parts = [part for number in range(spec.parts("evaluate")) if (part := part_of_evaluation(spec, number))]
    assert [(part.model.name, part.shard) for part in parts] == [
        ("going-checkpoint-6", 0), ("going-checkpoint-6", 1), ("going-checkpoint-3", 0), ("going-checkpoint-3", 1)
    ]  # fmt: skip
    assert isinstance(parts[0], Part)
    assert part_of_evaluation(spec, 4) is None


def test_baseline_is_evaluated_along_and_only_once(here: World) -> None:
    spec = spec_of(here, "done", baseline=f"{here.folder}/plain")
    assert names(spec) == ["done", "plain"]
    assert spec.evaluation and spec.evaluation.baseline == "plain"
    assert names(spec_of(here, "done", f"{here.folder}/plain", baseline="done")) == ["done", "plain"]


def test_keys_that_generation_looks_at_may_be_set_for_every_model(here: World) -> None:
    spec = spec_of(here, "done", settings=("attn_implementation=eager", "seed=9"))
    assert spec.evaluation and spec.evaluation.changed == {"attn_implementation": "eager", "seed": 9}
    used = with_settings_of(RunSpec.load(here.runs_root / "done"), spec)
    assert (used.axolotl["attn_implementation"], used.axolotl["seed"], used.axolotl["adapter"]) == ("eager", 9, "lora")


def test_folders_of_one_name_are_told_apart_and_odd_names_made_plain(here: World) -> None:
    for folder in ("a/model", "b/model", "it's 1"):
        (here.folder / folder).mkdir(parents=True)
        (here.folder / folder / "config.json").write_text("{}")
    spec = spec_of(here, "done", *(f"{here.folder}/{folder}" for folder in ("a/model", "b/model", "it's 1")))
    assert names(spec) == ["done", "a-model", "b-model", "it-s-1"]


def test_config_gives_the_prompts_where_no_run_does(here: World) -> None:
    spec = spec_of(here, f"{here.folder}/plain", config=REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml")
    assert names(spec) == ["plain"]
    assert prompt_format(spec).format.startswith("<|im_start|>user")


@pytest.mark.parametrize(
    ("models", "more", "message"),
    [
        (["nothing"], {}, "nothing: no run in .*/runs, and no folder with adapter_config.json or config.json"),
        (["going"], {}, "going has not finished training\nhint: evaluate its checkpoints with `--checkpoints all`"),
        (["done"], {"checkpoints": "some"}, "--checkpoints some: unknown\nhint: write last, all, or a number"),
        (["done"], {"checkpoints": "0"}, "--checkpoints 0: unknown\nhint: write last, all, or a number"),
        (["done", "done"], {}, "two of the models have the name done"),
        (["plain"], {}, "name the config with their prompts with `--config`"),
        (["done"], {"data": "none.json"}, "none.json: no such file"),
        (["done"], {"data": "plain"}, "not records: .*Is a directory"),
        (["done"], {"settings": ("max_new_tokens=3",)}, "max_new_tokens: an evaluation does not use this key"),
        (["done"], {"settings": ("evaluate.shards=3",)}, "evaluate.shards: submitit has no such parameter"),
        (["done", "headless"], {}, "its base model .*/nowhere does not exist"),
        (["torn/checkpoints/checkpoint-3"], {}, "is not a complete checkpoint: it has no manifest"),
        (["done"], {"name": "../x"}, "--name ../x: not a name for a run"),
        (["done"], {"settings": ("regrow.evaluate.shard=3",)}, "(?s)shard.*did you mean"),
        (["done"], {"settings": ("regrow.evaluate.temperature=-1",)}, "temperature"),
    ],
)
def test_bad_arguments_are_clear_errors(
    here: World, monkeypatch: pytest.MonkeyPatch, models: list[str], more: dict[str, object], message: str
) -> None:
    monkeypatch.chdir(here.folder)
    with pytest.raises(ConfigError, match=message):
        spec_of(here, *models, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "the file holds no records"),
        ('[{"instruction": "x", "input": null, "output": "{}"}]', "input is None, not text"),
        ("{", "not records"),
        ('["a"]', "not records"),
        ("5", "not records"),
        ('[{"instruction": "x", "input": "y"}]', "a record has no field 'output'"),
        (
            '[{"instruction": "x", "input": "y", "output": "nobody"}]',
            "1 of 1 expected outputs are not what regrow.task",
        ),
        ('[{"instruction": "x", "input": "y", "output": 5}]', "not records"),
    ],
)
def test_records_that_cannot_be_scored_are_found_before_anything_is_generated(
    here: World, text: str, message: str
) -> None:
    (here.folder / "wrong.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        spec_of(here, "done", data="wrong.json")
