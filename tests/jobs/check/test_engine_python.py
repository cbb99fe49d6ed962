"""The Python that generates answers is asked for its engine, before an evaluation waits for it."""

import sys

import pytest
from world import REPO_ROOT

from jobs.check.nodes import engine_findings
from jobs.check.shared.places import Places
from jobs.spec.resolve import load_run_spec

TINY = REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([], None),
        (["regrow.evaluate.engine=json.JSONDecoder"], None),
        (["regrow.evaluate.engine=no_such_package.Engine"], f"{sys.executable} has no no_such_package"),
        (["evaluate.python=/usr/bin/false"], "/usr/bin/false: it exited with 1"),
        (["evaluate.python=/no/such/python", "regrow.evaluate.engine=vllm"], "/no/such/python: "),
    ],
)
def test_python_of_the_engine(settings: list[str], said: str | None) -> None:
    spec = load_run_spec(TINY, "local", settings)
    found = [(each.code, each.found) for each in engine_findings(spec, Places(spec))]
    assert [code for code, _ in found] == (["site.engine"] if said else [])
    assert all(text.startswith(str(said)) for _, text in found)


def test_python_is_no_parameter_of_submitit() -> None:
    spec = load_run_spec(TINY, "local", ["evaluate.python=/usr/bin/false", "evaluate.timeout_min=5"])
    assert spec.profile.parameters("evaluate").keys() & {"python", "timeout_min"} == {"timeout_min"}
