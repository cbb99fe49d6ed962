"""A finished run, made once for the tests that look at it."""

import pytest
from world import World

from jobs.spec.paths import RunPaths

SCORES = {"gen_json_parse_rate", "gen_offender_presence_f1", "gen_offender_name_set_f1", "gen_keyword_rule_presence_f1"}


@pytest.fixture(scope="session")
def run(world: World) -> RunPaths:
    """A finished run named `one`; what it printed stands in `printed.txt` of its folder."""
    done = world.submit("one")
    assert done.returncode == 0, done.stdout + done.stderr
    paths = RunPaths(world.runs_root / "one")
    (paths.run_dir / "printed.txt").write_text(done.stdout, encoding="utf-8")
    return paths
