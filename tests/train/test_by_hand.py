"""Axolotl can still run the config by hand, and a model reads the same text in training and in generation."""

import json
import subprocess
import sys
from pathlib import Path

import yaml
from world import REPO_ROOT, World

from callbacks.shared import events
from callbacks.shared.journal import read_journal
from callbacks.shared.manifest import torn_reason
from callbacks.shared.prompts import PromptFormat, load_records


def test_accelerate_launch_trains_the_tiny_config(world: World, tmp_path: Path) -> None:
    accelerate = [
        str(Path(sys.executable).parent / "accelerate"),
        "launch",
        "--cpu",
        "--num_processes=1",
        "--num_machines=1",
    ]
    command = [
        *accelerate,
        "--mixed_precision=no",
        "--dynamo_backend=no",
        "-m",
        "axolotl.cli.train",
        str(world.config_by_hand(tmp_path)),
    ]
    environment = world.environment | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    done = subprocess.run(command, cwd=REPO_ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    entries = read_journal(tmp_path / "out" / "journal")
    assert [e.step for e in entries if isinstance(e, events.Saved)] == [2, 4]
    assert [e.step for e in entries if isinstance(e, events.Finished)] == [4]
    assert not [e for e in entries if isinstance(e, events.MlflowFailed)]
    for step in (2, 4):
        assert torn_reason(tmp_path / "out" / f"checkpoint-{step}") == ""
    scores = json.loads((tmp_path / "out" / "gen_metrics_step4.json").read_text())
    assert scores["gen_records"] == 6


def test_plugin_that_does_not_import_ends_a_rank_with_a_message(world: World, tmp_path: Path) -> None:
    config = world.config_by_hand(tmp_path, plugins=["callbacks.plugin.RegrowPlugin", "no.such.Plugin"])
    command = [sys.executable, "-m", "callbacks.rank", "train", str(config)]
    done = subprocess.run(command, cwd=REPO_ROOT, env=world.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "plugins: no.such.Plugin cannot be imported" in done.stderr
    assert not (tmp_path / "out").exists()


def test_prompt_is_token_for_token_what_axolotl_trains_on(world: World) -> None:
    from axolotl.prompt_strategies.user_defined import UserDefinedDatasetConfig, load
    from axolotl.utils.dict import DictDefault
    from transformers import AutoTokenizer

    config = yaml.safe_load((REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml").read_text(encoding="utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(world.folder / "model")
    kind = config["datasets"][0]["type"]
    strategy = load(tokenizer, DictDefault(train_on_inputs=False, sequence_len=512), UserDefinedDatasetConfig(**kind))
    prompt_format = PromptFormat.from_dataset(config["datasets"][0])
    for record in [*load_records(world.folder / "hawks_val.json"), {"instruction": "x", "input": "", "output": "y"}]:
        trained = strategy.tokenize_prompt(record)
        prompt_length = trained["labels"].count(-100)
        assert trained["input_ids"][:prompt_length] == tokenizer(prompt_format.prompt(record))["input_ids"]
        answer = tokenizer.decode(trained["input_ids"][prompt_length:])
        assert answer == prompt_format.answer(record) + "<|im_end|>"
