"""`attach` in a script with TRL: a job stops and resumes it exactly, and a person sees no difference but a journal."""

import json
from pathlib import Path

import pytest
from entries import named
from ranks import train
from world import World

from callbacks.shared.from_stage import CHECKPOINT_ENV, CONFIG_ENV
from callbacks.shared.journal import JOURNAL_ENV, read_journal
from callbacks.shared.manifest import torn_reason
from callbacks.shared.stop_file import EXIT_STOPPED, STOP_FILE_ENV

ADAPTER = "adapter_model.safetensors"


class Job:
    """What a stage tells a script."""

    def __init__(self, folder: Path, world: World) -> None:
        self.folder, self.output = folder, folder / "checkpoints"
        folder.mkdir()
        config = folder / "axolotl.yml"
        config.write_text(json.dumps({"output_dir": str(self.output), "regrow": {"run_dir": str(folder)}}))
        self._environment = world.environment | {
            CONFIG_ENV: str(config),
            STOP_FILE_ENV: str(folder / "stop"),
            "BARE_TRL_MODEL": str(world.folder / "model"),
            "BARE_TRL_OUTPUT": str(folder / "own"),
        }

    def attempt(self, number: int, checkpoint: Path | None = None, **more: str) -> int:
        (self.folder / "stop").unlink(missing_ok=True)
        told = {JOURNAL_ENV: str(self.folder / "journal" / f"train-1-{number}")}
        resumed = {CHECKPOINT_ENV: str(checkpoint)} if checkpoint else {}
        (code,) = train("bare_trl.py", [], self._environment | told | resumed | more)
        return code


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, world: World) -> Job:
    job = Job(tmp_path_factory.mktemp("attach") / "undisturbed", world)
    assert job.attempt(0) == 0
    return job


def test_job_has_checkpoints_model_and_journal_of_the_script(undisturbed: Job) -> None:
    entries = read_journal(undisturbed.folder / "journal")
    (finished,) = named(entries, "finished")
    assert (finished.step, finished.files) == (6, [ADAPTER])
    (params,) = named(entries, "params")
    assert params.values["learning_rate"] == "0.01" and "regrow.run_dir" in params.values
    losses = [entry.step for entry in named(entries, "metrics") if "loss" in entry.values]
    assert losses == [1, 2, 3, 4, 5, 6]
    assert torn_reason(undisturbed.output / "checkpoint-6") == ""
    kept = undisturbed.folder / "own" / "kept" / ADAPTER  # the script's own lines go on
    assert kept.read_bytes() == (undisturbed.output / ADAPTER).read_bytes()
    assert not list((undisturbed.folder / "own").glob("checkpoint-*"))


def test_stopped_script_goes_on_with_the_same_bits(tmp_path: Path, world: World, undisturbed: Job) -> None:
    job = Job(tmp_path / "stopped", world)
    assert job.attempt(0, BARE_TRL_STOPS_AT="3") == EXIT_STOPPED
    checkpoint = job.output / "checkpoint-3"
    assert torn_reason(checkpoint) == ""
    assert job.attempt(1, checkpoint) == 0
    assert (job.output / ADAPTER).read_bytes() == (undisturbed.output / ADAPTER).read_bytes()
    losses = [
        [
            entry.values["loss"]
            for entry in named(read_journal(each.folder / "journal"), "metrics")
            if "loss" in entry.values
        ]
        for each in (job, undisturbed)
    ]
    assert losses[0] == losses[1]


def test_started_by_hand_the_script_keeps_its_folder(tmp_path: Path, world: World, undisturbed: Job) -> None:
    output = tmp_path / "own"
    (code,) = train("bare_trl.py", [str(world.folder / "model"), str(output)], world.environment)
    assert code == 0
    assert torn_reason(output / "checkpoint-6") == ""
    assert (output / "kept" / ADAPTER).read_bytes() == (undisturbed.output / ADAPTER).read_bytes()
    assert named(read_journal(output / "journal"), "training_ended")
