"""Findings about records: leaks, lengths, labels, balance. Each test makes a file with one fault."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from world import REPO_ROOT, World

Finder = Callable[..., dict[str, str]]


@pytest.fixture
def found(world: World) -> Finder:
    """Check tiny_cpu.yml in the world with further settings. The result maps the code of each finding to what was found."""

    def check(*settings: str) -> dict[str, str]:
        flags = [flag for setting in [*world.settings, *settings] for flag in ("--set", setting)]
        done = world.regrow("check", str(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml"), "--json", *flags)
        return {finding["code"]: finding["found"] for finding in json.loads(done.stdout)["findings"]}

    return check


def records(path: Path) -> list[dict[str, str]]:
    loaded: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


@pytest.mark.train
def test_good_records_have_no_finding(found: Finder) -> None:
    assert found() == {}


@pytest.mark.train
def test_validation_records_in_train_are_counted(found: Finder, world: World, tmp_path: Path) -> None:
    leaked = records(world.folder / "hawks_train.json")[:5] + records(world.folder / "hawks_val.json")
    (tmp_path / "val.json").write_text(json.dumps(leaked, ensure_ascii=False), encoding="utf-8")
    assert found(f"regrow.prepare.validation.0.path={tmp_path}/val.json")["data.leak"].startswith(
        "5 validation records"
    )


@pytest.mark.train
def test_long_records_and_cut_answers_are_counted(found: Finder) -> None:
    said = found("sequence_len=64")["data.too-long"]
    assert "of 160 sampled records are longer than 64 tokens" in said


@pytest.mark.train
def test_labels_that_are_not_the_answer_are_an_error(found: Finder, world: World, tmp_path: Path) -> None:
    model = shutil.copytree(world.folder / "model", tmp_path / "model")
    tokenizer = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["normalizer"] = {"type": "Replace", "pattern": {"String": "offenders"}, "content": "x"}
    (model / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    assert (
        "160 of 160 records looked at do not teach the answer and its end"
        in found(f"base_model={model}")["data.labels"]
    )


@pytest.mark.train
def test_invalid_outputs_too_few_and_lopsided_records(found: Finder, world: World, tmp_path: Path) -> None:
    spoiled = records(world.folder / "person_dummy.json")
    spoiled[3]["output"] = '{"people": []}'
    (tmp_path / "dummy.json").write_text(json.dumps(spoiled, ensure_ascii=False), encoding="utf-8")
    codes = found(f"regrow.prepare.sources=[{{path: {tmp_path}/dummy.json, take: 999}}]")
    assert "dummy.json, record 4" in codes["data.invalid-output"]
    assert codes["data.too-few"] == "130 records, but take: 999"
    assert codes["data.lopsided"] == "0 of 130 records are positive"
