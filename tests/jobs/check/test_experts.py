"""How a mixture of experts computes its experts, and what is told of it."""

import pytest
from world import REPO_ROOT

from jobs.check.experts import KERNELS_PLUGIN, expert_findings, expert_path
from jobs.check.shared.places import Places
from jobs.spec.resolve import load_run_spec

PRODUCTION = REPO_ROOT / "axolotl_configs" / "qwen_finetune.yml"
PLUGIN = f"plugins=[{KERNELS_PLUGIN}]"
MIXTURE = {"has_gpu": False, "has_experts": True, "dimensions": {"layers": 48}, "trainable": {"experts": 6e8, "attention": 1e7},
           "parameters": {"experts": 28_990_000_000}}  # fmt: skip
DENSE = {"has_gpu": False, "has_experts": False}


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({}, "grouped_mm"),
        ({"use_scattermoe": True}, "grouped_mm"),  # Axolotl drops the key without its plugin
        ({"plugins": [KERNELS_PLUGIN]}, "eager"),
        ({"plugins": [KERNELS_PLUGIN], "experts_implementation": "scattermoe"}, "eager"),
        ({"plugins": [KERNELS_PLUGIN], "experts_implementation": "batched_mm"}, "batched_mm"),
        ({"plugins": [KERNELS_PLUGIN], "use_scattermoe": True}, "scattermoe"),
        ({"plugins": [KERNELS_PLUGIN], "expert_backend": "sonicmoe"}, "sonicmoe"),
    ],
)
def test_path_of_the_experts_is_the_one_that_axolotl_takes(config: dict[str, object], path: str) -> None:
    assert expert_path(config) == path


@pytest.mark.parametrize(
    ("cluster", "settings", "model", "found"),
    [
        ("a100", [], MIXTURE, [("note", "speed.expert-lora")]),
        ("a100", ["adapter=null"], MIXTURE, []),
        ("a100", [PLUGIN], MIXTURE, [("warning", "speed.expert-loop")]),
        ("a100", [PLUGIN, "use_scattermoe=true"], MIXTURE, []),
        ("a100", [PLUGIN], DENSE, []),
        ("local", [PLUGIN], MIXTURE, []),
        ("local", [PLUGIN], MIXTURE | {"has_gpu": True}, [("warning", "speed.expert-loop")]),
    ],
)
def test_path_that_leaves_the_gpu_idle_is_told(
    cluster: str, settings: list[str], model: dict[str, object], found: list[tuple[str, str]]
) -> None:
    spec = load_run_spec(PRODUCTION, cluster, settings)
    assert [(each.level, each.code) for each in expert_findings(spec, Places(spec), model)] == found
