"""Several trainings in one run: each goes on from the adapter of the one before, in one journal."""

import json

import pytest
from entries import named
from sampling import SAMPLE
from world import World

from callbacks.shared.journal import read_journal
from jobs.spec.paths import RunPaths
from jobs.spec.run_spec import RunSpec

ADAPTER = "adapter_model.safetensors"


def trained(world: World, name: str, *settings: str) -> RunPaths:
    done = world.submit(name, *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return RunPaths(world.runs_root / name)


def test_two_stages_of_the_old_script_are_one_run(world: World) -> None:
    positives = f"[{{path: {world.folder}/hawks_train.json}}]"
    stages = f"[{{name: positives, max_steps: 3, prepare: {{sources: {positives}}}}}, {{learning_rate: 0.002, max_steps: 4}}]"
    paths = trained(world, "two_stages", f"regrow.train_stages={stages}")
    entries = read_journal(paths.journal)
    assert [entry.stage for entry in named(entries, "stage_finished")] == ["prepare", "train", "evaluate", "report"]
    assert [(entry.training, entry.step) for entry in named(entries, "training_finished")] == [("positives", 3)]
    assert [entry.step for entry in named(entries, "finished")] == [7]
    assert [entry.step for entry in named(entries, "metrics") if "loss" in entry.values] == list(range(1, 8))
    assert [entry.records for entry in named(entries, "dataset") if entry.role == "train"] == [40, 240]
    params = {key: value for entry in named(entries, "params") for key, value in entry.values.items()}
    assert (params["positives.learning_rate"], params["learning_rate"]) == ("0.004", "0.002")
    second = RunSpec.load(paths.run_dir)
    first = second.trainings[0].paths
    assert second.axolotl["lora_model_dir"] == str(first.checkpoints)
    assert (first.checkpoints / ADAPTER).read_bytes() != (paths.checkpoints / ADAPTER).read_bytes()
    done = world.regrow("verify", str(paths.run_dir))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "nothing is wrong")


@pytest.mark.parametrize("adapter", ["lora", "null"] if SAMPLE == "all" else ["lora"])
def test_pretraining_then_answers_then_preferences(adapter: str, world: World) -> None:
    records = json.loads((world.folder / "hawks_train.json").read_text(encoding="utf-8"))
    texts, pairs = world.folder / "stage_texts.jsonl", world.folder / "stage_pairs.jsonl"
    texts.write_text("".join(f"{json.dumps({'text': each['input']})}\n" for each in records), encoding="utf-8")
    pairs.write_text(
        "".join(
            f"{json.dumps({'prompt': each['input'], 'chosen': each['output'], 'rejected': '{}'})}\n" for each in records
        ),
        encoding="utf-8",
    )
    nothing = "test_datasets: null, eval_strategy: null, eval_steps: null, eval_batch_size: null, max_steps: 2"
    pretraining = f"{{name: texts, {nothing}, datasets: [{{path: {texts}, ds_type: json, type: completion}}]}}"
    answers = "{name: answers, max_steps: 2}"
    columns = "{field_prompt: prompt, field_chosen: chosen, field_rejected: rejected}"
    preferences = f"{{{nothing}, rl: dpo, datasets: [{{path: {pairs}, ds_type: json, type: {columns}}}]}}"
    kind = () if adapter == "lora" else (
        "adapter=null", "lora_r=null", "lora_alpha=null", "lora_dropout=null", "lora_target_modules=null", "merge_method=null",
    )  # fmt: skip
    paths = trained(
        world,
        f"three_stages_{adapter}",
        *kind,
        "lora_target_parameters=null",
        "regrow.task=null",
        "regrow.generation_eval=null",
        f"regrow.train_stages=[{pretraining}, {answers}, {preferences}]",
    )
    entries = read_journal(paths.journal)
    assert [(entry.training, entry.step) for entry in named(entries, "training_finished")] == [
        ("texts", 2),
        ("answers", 4),
    ]
    assert [entry.step for entry in named(entries, "finished")] == [6]
    assert [entry.step for entry in named(entries, "metrics") if "loss" in entry.values] == list(range(1, 7))
    assert any("rewards/accuracies" in name for entry in named(entries, "metrics") for name in entry.values)
