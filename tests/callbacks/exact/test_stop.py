"""GracefulStop in a real Trainer: the last completed step is saved, whole, before anybody leaves; the weight stays the same."""

from pathlib import Path

import pytest
import ranks as ranks_of
from entries import named

from callbacks.shared.journal import read_journal
from callbacks.shared.manifest import owed_at, torn_reason
from callbacks.shared.stop_file import EXIT_STOPPED


def train(folder: Path, phase: str, environment: dict[str, str], ranks: int = 1) -> list[int]:
    """Exit codes of the ranks."""
    folder.mkdir(exist_ok=True)
    return ranks_of.train("stopped_training.py", [str(folder), phase], environment, ranks)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, clean_environment: dict[str, str]) -> str:
    folder = tmp_path_factory.mktemp("undisturbed") / "one"
    assert train(folder, "none", clean_environment) == [0]
    return (folder / "weight").read_text()


@pytest.mark.parametrize(("phase", "step"), [("step", 1), ("accumulation", 2), ("evaluation", 2)])
def test_last_completed_step_is_saved_and_the_resumed_training_has_the_same_weight(
    phase: str, step: int, tmp_path: Path, clean_environment: dict[str, str], undisturbed: str
) -> None:
    folder = tmp_path / "one"
    checkpoint = folder / "checkpoints" / f"checkpoint-{step}"
    assert train(folder, phase, clean_environment) == [EXIT_STOPPED]
    assert torn_reason(checkpoint) == ""
    entries = read_journal(folder / "journal")
    (stopped,) = named(entries, "stopped")
    assert (stopped.step, stopped.phase, stopped.evaluation_owed) == (step, phase, phase == "evaluation")
    assert owed_at(checkpoint).evaluation == (phase == "evaluation")
    assert [type(entry).__name__ for entry in entries] == ["Saved", "Stopped"]
    (folder / "stop").unlink()
    assert train(folder, "none", clean_environment) == [0]
    assert (folder / "weight").read_text() == undisturbed


def test_ranks_stop_at_one_step_though_one_alone_has_seen_the_request(
    tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    folder = tmp_path / "two"
    environment = clean_environment | {"REGROW_TEST_ASKS": "1"}
    assert train(folder, "step", environment, ranks=2) == [EXIT_STOPPED, EXIT_STOPPED]
    checkpoint = folder / "checkpoints" / "checkpoint-1"
    assert torn_reason(checkpoint) == ""
    assert {path.name for path in checkpoint.glob("rng_state*")} == {"rng_state_0.pth", "rng_state_1.pth"}
    assert [entry.step for entry in named(read_journal(folder / "journal"), "saved")] == [1]
