"""A resumed training that takes other records than before ends at that step, and says so."""

import json
import shutil

from properties import BASE
from trainings import FOLDER, Trainings

from callbacks.shared.ledger_file import RECORDS
from callbacks.shared.manifest import checkpoints


def test_step_that_takes_other_records_than_before_ends_the_training(trainings: Trainings) -> None:
    data = trainings.data("changed.json")
    settings = BASE | {
        "datasets": [data],
        "dataset_prepared_path": f"{FOLDER}/changed-tokens",
        "save_total_limit": None,
    }
    whole = trainings.train("changed", settings)
    assert whole.records.epochs[0].missing == 0
    for checkpoint in checkpoints(whole.folder)[:2]:
        shutil.rmtree(checkpoint)  # steps 13 to 24 are done again
    config = whole.folder.parent / "config.yml"
    again = trainings.attempt(config)
    assert again.code == 0
    assert (again.records.redone, again.records.problems) == (12, ())

    folder = whole.folder.parents[1]
    (folder / "changed.json").write_text(json.dumps(json.loads((folder / "changed.json").read_bytes())[::-1]))
    shutil.rmtree(folder / "changed-tokens")  # the tokens
    for checkpoint in checkpoints(whole.folder)[:2]:
        shutil.rmtree(checkpoint)
    other = trainings.attempt(config)
    assert other.code
    assert "step 13 takes other records than when it was done before" in other.log
    assert other.records.problems[0] == "rank 0: step 13 took other records when it was done again"


def test_records_are_listed_once_for_a_config(trainings: Trainings) -> None:
    whole = trainings.train("listed", BASE | {"dataloader_num_workers": 2, "dataloader_prefetch_factor": 2}, ["step@5"])
    listed = (whole.folder / RECORDS).read_text(encoding="utf-8").split()
    assert whole.records.records == len(listed) == 40
    assert whole.records.epochs[0].missing == 0
