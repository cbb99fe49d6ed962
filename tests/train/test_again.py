"""`regrow verify --again`: the same YAML, seed and records give the same result, or the difference is said."""

import json

from world import World

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import read_journal
from jobs.evaluation.training_facts import training_facts
from jobs.spec.paths import RunPaths
from jobs.spec.run_spec import RunSpec
from jobs.submit.again import _differences


def test_whole_training_is_done_again_with_the_same_weights(run: RunPaths, world: World) -> None:
    done = world.regrow("verify", str(run.run_dir), "--again", "6", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    again = json.loads(done.stdout)["again"]
    assert (again["steps"], again["losses"], again["has_weights"], again["differences"]) == (6, 6, True, [])
    assert not (run.run_dir / "again").exists()
    (noted,) = only(read_journal(run.journal), events.TrainedAgain)
    spec = RunSpec.load(run.run_dir)
    assert training_facts(spec).again == noted
    (said,) = _differences([{1: 0.5, 2: 0.5}, {1: 0.5, 2: 0.25}], [1, 2], spec, spec)
    assert said == "the losses differ from step 2 on: 0.5 and 0.25"
