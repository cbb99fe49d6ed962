"""Combinations that cannot do what they say; no Axolotl is needed to see it."""

import pytest
from world import REPO_ROOT

from jobs.check.config import config_findings
from jobs.check.shared.places import Places
from jobs.check.task import task_findings
from jobs.spec.resolve import load_run_spec

TINY = REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml"


@pytest.mark.parametrize(
    ("settings", "level", "key", "found"),
    [
        (["learning_rate=-1"], "error", "learning_rate", "found -1"),
        (["learning_rate=0"], "warning", "learning_rate", "found 0"),
        (["max_steps=0"], "warning", "max_steps", "found 0"),
        (["num_epochs=-2"], "error", "num_epochs", "found -2"),
        (["max_steps=20"], "warning", "eval_steps", "eval_steps: 200, but max_steps: 20"),
        (["max_steps=20"], "warning", "save_steps", "save_steps: 200, but max_steps: 20"),
        (
            ["load_best_model_at_end=true", "save_steps=10", "eval_steps=8"],
            "warning",
            "load_best_model_at_end",
            "no multiple",
        ),
        (
            ["metric_for_best_model=gen_offender_f1"],
            "error",
            "metric_for_best_model",
            "gen_offender_f1 is no score of the task",
        ),
        (
            ["metric_for_best_model=eval_gen_json_parse_rate", "regrow.task=null"],
            "error",
            "metric_for_best_model",
            "no regrow.task",
        ),
        (["test_datasets=null"], "error", "regrow.task", "a task, and no records"),
        (["test_datasets=null", "regrow.task=null"], "warning", "eval_strategy", "no records to evaluate on"),
        (["rl=dpo"], "error", "regrow.task", "rl: dpo: pairs of answers are compared"),
        (["regrow.task={kind: json, json_schema: {type: text}}"], "error", "regrow.task", "is no JSON schema"),
        (["regrow.task={scorer: no_such_module_here.score}"], "error", "regrow.task", "cannot be loaded"),
    ],
)
def test_combination_is_found(settings: list[str], level: str, key: str, found: str) -> None:
    spec = load_run_spec(TINY, "local", settings)
    places = Places(spec)
    findings = [*config_findings(spec, places), *task_findings(spec, places)]
    assert any((each.level, each.place.key) == (level, key) and found in each.found for each in findings), findings


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["max_steps=-1"],
        ["metric_for_best_model=eval_gen_offender_presence_f1"],
        ["metric_for_best_model=eval_loss"],
        ["load_best_model_at_end=true", "save_steps=16", "eval_steps=8"],
        ["test_datasets=null", "eval_strategy=null", "eval_steps=null", "regrow.task=null"],
        ["test_datasets=null", "val_set_size=0.1", "regrow.task={kind: text}"],
    ],
)
def test_good_combination_has_no_finding(settings: list[str]) -> None:
    spec = load_run_spec(TINY, "local", settings)
    assert [*config_findings(spec, Places(spec)), *task_findings(spec, Places(spec))] == []
