"""Bad input gives a message that says what was set, what was found and what to type. No traceback, no partial file."""

import gzip
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from sampling import sampled
from world import World

from callbacks.shared import events
from callbacks.shared.journal import read_journal
from jobs.spec.run_spec import RunSpec

GOOD = {"instruction": "x", "input": "y", "output": '{"offenders": []}'}


@dataclass(frozen=True)
class Bad:
    """One bad submission: its settings, in which `{folder}` stands for the test's folder, and the texts that must be printed."""

    name: str
    settings: tuple[str, ...]
    said: tuple[str, ...]
    exit_code: int = 2
    starts: bool = False
    """Whether the test also submits without the check. Then the prepare stage, which reads every record, must find the fault."""


RECORDS = "regrow.prepare.sources=[{{path: {folder}/records.json}}]"
CASES = [
    Bad("missing_file", ("regrow.prepare.sources.0.path={folder}/no.json",), ("sources.0.path", "no.json: no such file")),
    Bad("empty_file", (RECORDS,), ("records.json is empty",)),
    Bad("no_records", (RECORDS,), ("records.json", "holds no records"), starts=True),
    Bad("truncated", (RECORDS,), ("records.json", "record 2", "truncated"), starts=True),
    Bad("truncated_gzip", (RECORDS,), ("records.json",), starts=True),
    Bad("wrong_field", (RECORDS,), ("record 2", '"output" is missing', "found: instruction, input, answer"), starts=True),
    Bad("output_no_json", (RECORDS,), ("record 2", '"output" is not JSON'), starts=True),
    Bad("output_no_answer", (RECORDS,), ("outputs are not what regrow.task describes", "record 2"), starts=True),
    Bad("too_few", ("regrow.prepare.sources.1.take=9999",), ("person_dummy.json", "130", "9999"), starts=True),
    Bad("model_only", ("save_only_model=true",), ("save_only_model", "remove the key")),
    Bad("key_top", ("lora_rank=8",), ("lora_rank: Axolotl does not know this key", "did you mean")),
    Bad("key_nested", ("datasets.0.type.field_outptu=x",), ("datasets.0.type.field_outptu", "did you mean `field_output`")),
    Bad("key_regrow", ("regrow.task.list_feild=x",), ("regrow.task.list_feild: unknown key", "did you mean `list_field`")),
    Bad("value_regrow", ("regrow.generation_eval.batch_size=0",), ("regrow.generation_eval.batch_size: found 0",)),
    Bad("key_profile", ("train.gpu_per_node=1",), ("train.gpu_per_node", "did you mean `gpus_per_node`")),
    Bad("model_folder", ("base_model=./no/such/model",), ("base_model", "no such folder", "owner/name")),
    Bad("model_hub", ("base_model=nobody/nothing",), ("nobody/nothing is not in", "hf download nobody/nothing")),
    Bad("plugin", ("plugins=[callbacks.plugin.RegrowPlugin, no.such.Plugin]",), ("No module named 'no'", "dotted path")),
    Bad("deepspeed", ("deepspeed=deepspeed_configs/zero9.json",), ("zero9.json: no such file", "deepspeed_configs/zero2.json")),
    Bad("setting", ("max_steps",), ("--set max_steps: not of the form KEY=VALUE",)),
]  # fmt: skip

TEXTS = {
    "empty_file": "",
    "no_records": "[]",
    "truncated": json.dumps([GOOD, GOOD, GOOD])[:120],
    "wrong_field": json.dumps([GOOD, {"instruction": "x", "input": "y", "answer": "z"}]),
    "output_no_json": json.dumps([GOOD, GOOD | {"output": "nobody"}]),
    "output_no_answer": json.dumps([GOOD, GOOD | {"output": '{"people": []}'}]),
}


STARTING, REFUSED = ([case for case in CASES if case.starts is starts] for starts in (True, False))


@pytest.mark.parametrize("case", [*sampled(STARTING, 3), *sampled(REFUSED, 7)], ids=lambda case: case.name)
def test_bad_input_gives_a_clear_error_and_leaves_nothing_half_written(case: Bad, world: World, tmp_path: Path) -> None:
    if case.name in TEXTS:
        (tmp_path / "records.json").write_text(TEXTS[case.name], encoding="utf-8")
    if case.name == "truncated_gzip":
        (tmp_path / "records.json").write_bytes(gzip.compress(json.dumps([GOOD] * 9).encode())[:-12])
    runs_root = tmp_path / "runs"
    settings = [setting.format(folder=tmp_path) for setting in case.settings]
    if case.starts:
        checked = world.submit(case.name, *settings, f"runs_root={runs_root}", check=True)
        assert checked.returncode == 2, checked.stdout + checked.stderr
        assert "nothing was submitted" in checked.stderr
        assert not runs_root.exists()
    done = world.submit(case.name, *settings, f"runs_root={runs_root}", check=not case.starts)
    printed = done.stdout + done.stderr
    assert done.returncode == case.exit_code, printed
    for text in case.said:
        assert text in printed
    assert "Traceback" not in printed
    if case.starts:
        prepared = RunSpec.load(runs_root / case.name).prepared_paths
        assert prepared is not None
        assert not prepared.audit.exists()
        assert not list(prepared.folder.glob(".*"))
    else:
        assert not runs_root.exists()


def test_force_submits_in_spite_of_an_error_and_the_journal_says_so(world: World, tmp_path: Path) -> None:
    settings = (f"regrow.prepare.sources.0.path={tmp_path}/no.json", f"runs_root={tmp_path}/runs")
    refused = world.submit("forced", *settings, check=True)
    assert refused.returncode == 2
    assert "hint: `--force` submits anyway" in refused.stderr
    world.submit("forced", *settings, check=True, flags=("--force",))
    (entry,) = [
        entry for entry in read_journal(tmp_path / "runs" / "forced" / "journal") if isinstance(entry, events.Checked)
    ]
    assert entry.errors == ["files.data-absent"]


def test_labels_that_are_not_the_answer_end_the_prepare_stage(world: World, tmp_path: Path) -> None:
    model = shutil.copytree(world.folder / "model", tmp_path / "model")
    tokenizer = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["normalizer"] = {"type": "Replace", "pattern": {"String": "offenders"}, "content": "x"}
    (model / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    done = world.submit("unlabelled", f"base_model={model}", f"runs_root={tmp_path}/runs")
    assert done.returncode == 2, done.stdout + done.stderr
    journal = read_journal(tmp_path / "runs" / "unlabelled" / "journal")
    (entry,) = [entry for entry in journal if isinstance(entry, events.TokensChecked)]
    assert entry.wrong_labels == entry.records == 240
    assert any("do not teach the answer and its end" in e.message for e in journal if isinstance(e, events.StageFailed))


def test_missing_config_is_named(world: World) -> None:
    done = world.regrow("submit", "no/such.yml")
    assert (done.returncode, done.stderr.strip()) == (2, "no/such.yml: no such file")


def test_config_that_is_no_yaml_is_named(world: World, tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("a: [1,\nb: 2", encoding="utf-8")
    done = world.regrow("submit", str(tmp_path / "bad.yml"))
    assert done.returncode == 2
    assert "bad.yml is not YAML" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_cluster_names_those_that_there_are(world: World, tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("base_model: x", encoding="utf-8")
    done = world.regrow("submit", str(tmp_path / "x.yml"), "--cluster", "a1000")
    assert done.returncode == 2
    assert "did you mean `a100`?" in done.stderr
