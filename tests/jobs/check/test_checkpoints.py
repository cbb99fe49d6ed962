"""The check says before the queue which trainings could not resume, or would not continue as an undisturbed one."""

import pytest
from world import REPO_ROOT

from jobs.check.checkpoints import checkpoint_findings
from jobs.check.shared.places import Places
from jobs.spec.resolve import load_run_spec


def found(*settings: str) -> list[tuple[str, str, str]]:
    spec = load_run_spec(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml", "local", settings)
    return [(each.level, each.code, each.place.key) for each in checkpoint_findings(spec, Places(spec))]


@pytest.mark.parametrize(
    ("setting", "level", "code"),
    [
        ("save_only_model=true", "error", "checkpoints.model-only"),
        ("relora=true", "error", "checkpoints.not-resumable"),
        ("lisa_n_layers=1", "error", "checkpoints.not-resumable"),
        ("auto_find_batch_size=true", "warning", "checkpoints.batch-size"),
    ],
)
def test_training_that_cannot_resume_is_refused_and_one_that_may_not_continue_is_warned_of(
    setting: str, level: str, code: str
) -> None:
    assert found(setting) == [(level, code, setting.partition("=")[0])]


def test_trainings_that_were_tried_have_no_finding() -> None:
    assert found("sample_packing=true", "load_best_model_at_end=true", "save_total_limit=1", "adapter=null") == []
