"""The token report looks at every record, with one process or several. A repeated record counts each time."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from world import World

ASK = """
import json, sys
from pathlib import Path
import yaml
from callbacks.shared.tokens.token_report import token_report
config = yaml.safe_load(Path(sys.argv[1]).read_text())
datasets = [config["datasets"][0] | {"path": sys.argv[2]}]
print(json.dumps([token_report(config, datasets, processes=count) for count in (1, 2)]))
"""
ASK_ALL = """
import json, sys
from callbacks.shared.tokens.token_report import token_report
print(json.dumps([token_report(config, [dataset]) for config, dataset in json.load(open(sys.argv[1]))]))
"""
SAID = "a short answer"
PAIR = {"field_prompt": "prompt", "field_chosen": "chosen", "field_rejected": "rejected"}
Kind = tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]
"""Keys of the config, of the data set, and two records: the second teaches nothing."""
KINDS: dict[str, Kind] = {
    "chat": ({}, {"type": "chat_template"}, [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": SAID}]},
        {"messages": [{"role": "user", "content": "a"}]},
    ]),
    "conversations": ({}, {"type": "chat_template", "field_messages": "conversations",
                           "message_property_mappings": {"role": "from", "content": "value"}}, [
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": SAID}]},
        {"conversations": [{"from": "human", "value": "a"}]},
    ]),
    "dpo": ({"rl": "dpo"}, {"type": PAIR}, [{"prompt": "a", "chosen": SAID, "rejected": "no"},
                                            {"prompt": "a", "chosen": "no", "rejected": "no"}]),
    "dpo, own columns": ({"rl": "ipo"}, {"type": "chatml.intel"}, [
        {"question": "a", "chosen": SAID, "rejected": "no"}, {"question": "a", "chosen": "x", "rejected": "x"}]),
}  # fmt: skip


def test_each_kind_of_record_is_read_by_its_own_strategy(
    world: World, tmp_path: Path, run_python: Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
) -> None:
    questions = []
    for name, (config, dataset, records) in KINDS.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
        shared = {"base_model": str(world.folder / "model"), "sequence_len": 64, "chat_template": "tokenizer_default"}
        questions.append((shared | config, {"path": str(path), "ds_type": "json"} | dataset))
    (tmp_path / "questions.json").write_text(json.dumps(questions), encoding="utf-8")
    done = run_python(["-c", ASK_ALL, str(tmp_path / "questions.json")])
    assert done.returncode == 0, done.stderr
    reports = dict(zip(KINDS, json.loads(done.stdout.splitlines()[-1]), strict=True))
    for name, report in reports.items():
        assert (report["records"], report["unlearned"], report["wrong_labels"]) == (2, 1, 0), name
        assert 0 < report["longest"] < 64, name


def record(number: int, article: str, output: str = '{"offenders": []}') -> dict[str, str]:
    return {"instruction": f"{number}", "input": article, "output": output}


def test_processes_together_see_what_one_sees(
    world: World, tmp_path: Path, run_python: Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
) -> None:
    short, long = (
        [record(number, "短い") for number in range(1200)],
        [record(number, "長い" * 400) for number in range(50)],
    )
    unlike = [record(7, "x", " ")]
    (tmp_path / "records.json").write_text(json.dumps([*short, *long, *unlike, *long, *long]), encoding="utf-8")
    config = world.config_by_hand(tmp_path)
    done = run_python(["-c", ASK, str(config), str(tmp_path / "records.json")])
    assert done.returncode == 0, done.stderr
    one, two = json.loads(done.stdout.splitlines()[-1])
    assert one == two
    assert (one["records"], one["too_long"]) == (1351, 150)
    assert one["cut_answers"] == one["unlearned"] == 0
