"""The token report looks at every record, with one process or several. A repeated record counts each time."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from world import World

ASK = """
import json, sys
from pathlib import Path
import yaml
from callbacks.shared.token_report import token_report
config, records = yaml.safe_load(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
print(json.dumps([token_report(config, [(records, None)], processes=count) for count in (1, 2)]))
"""


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
