"""`regrow plan`: from typed costs, and durations as people write them."""

import json
import subprocess
from collections.abc import Callable, Sequence

import pytest

from jobs.plan.durations import seconds_of

RUN = "import regrow; regrow.main()"
TYPED = ["--steps", "1000", "--step-seconds", "10", "--start-seconds", "60", "--save-seconds", "5"]
Regrow = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200), ("1h30m", 5400), ("90s", 90), ("90", 90), ("1.5d", 129600), ("1h 30m", 5400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "2x", "-5m", "1h30", "h", "1:30:00"])
def test_what_is_no_duration_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a duration|has no unit"):
        seconds_of(text)


def test_typed_costs_are_planned(run_python: Regrow) -> None:
    losses = ["--preempt-every", "2h", "--fail-every", "5d", "--queue-wait", "20m"]
    done = run_python(["-c", RUN, "plan", *TYPED, *losses])
    assert done.returncode == 0, done.stderr
    for text in ("1,000 steps of 10 s, as typed", "waits 20m 00s", "goodput", "Young and Daly", "steps lost"):
        assert text in done.stdout
    found = json.loads(run_python(["-c", RUN, "plan", *TYPED, *losses, "--json"]).stdout)
    assert found["costs"]["steps"] == 1000
    assert 0.9 < found["goodput"]["median"] < 1
    assert found["site"]["limit"] is None
    config = ["axolotl_configs/tiny_cpu.yml", "--set", "max_steps=300", "--step-seconds", "2", "--json"]
    of_config = json.loads(run_python(["-c", RUN, "plan", *config]).stdout)["costs"]
    assert (of_config["steps"], of_config["save_steps"]) == (300, 200)
    quiet = json.loads(run_python(["-c", RUN, "plan", *TYPED, "--json"]).stdout)
    assert quiet["end"]["low"] == quiet["end"]["high"] == 60 + 10_000 + 5


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([], "the number of optimizer steps is not known"),
        ([*TYPED, "--preempt-every", "soon"], "--preempt-every soon: not a duration"),
        ([*TYPED, "--preempt-every", "0s"], "too short"),
        ([*TYPED, "--time-limit", "2m", "--start-seconds", "100"], "does not end on such a site"),
        (["no-such-run"], "no such run"),
        (["axolotl_configs/tiny_cpu.yml"], "the seconds of a step are not known"),
        (["axolotl_configs/qwen_finetune.yml", "--cluster", "a100", "--step-seconds", "11"], "--steps"),
    ],
)
def test_what_cannot_be_planned_is_told(run_python: Regrow, typed: list[str], said: str) -> None:
    done = run_python(["-c", RUN, "plan", *typed])
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (2, True, False)
