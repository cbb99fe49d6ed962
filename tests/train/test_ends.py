"""How a real training ends: ranks that would train separately do not start, and a model card that fails does not fail the run."""

from pathlib import Path

from entries import named
from world import World

from callbacks.shared.journal import read_journal
from jobs.spec.paths import RunPaths

SHORT = ("max_steps=2", "eval_steps=2", "save_steps=2", "regrow.generation_eval=null", "regrow.evaluate.shards=1")


def test_ranks_that_would_train_apart_end_before_the_first_step(world: World) -> None:
    """Two ranks on a CPU without `use_cpu` in an accelerate config: each would train alone and write into the same folder."""
    done = world.submit("apart", *SHORT, "train.gpus_per_node=2")
    assert done.returncode == 2, done.stdout + done.stderr
    entries = read_journal(RunPaths(world.runs_root / "apart").journal)
    (failed,) = [entry for entry in named(entries, "stage_failed") if entry.stage == "train"]
    assert "world size: asked for 2, the trainer has 1" in failed.message
    assert "hint: on a machine without a GPU" in failed.message
    assert not named(entries, "training_began", "saved", "metrics")


def test_model_card_that_fails_does_not_fail_the_run(world: World) -> None:
    plugins = "plugins=[callbacks.plugin.RegrowPlugin, broken_card.BrokenCard]"
    done = world.submit("card", *SHORT, plugins, environment={"PYTHONPATH": str(Path(__file__).parent)})
    assert done.returncode == 0, done.stdout + done.stderr
    entries = read_journal(RunPaths(world.runs_root / "card").journal)
    assert [entry.step for entry in named(entries, "finished")] == [2]
    assert [entry.message for entry in named(entries, "failed_after_the_end")] == ["KeyError: 'Gen Json Parse Rate'"]
    assert [entry.status for entry in named(entries, "run_ended")] == ["FINISHED"]
    assert "training is finished, but a later step of its process failed" in done.stdout
