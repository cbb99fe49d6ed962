"""What needs a GPU is told where none trains."""

import pytest
from world import REPO_ROOT

from jobs.check.lora import lora_findings
from jobs.check.schema import schema_findings
from jobs.check.shared.places import Places
from jobs.spec.resolve import load_run_spec

TINY = REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml"
DENSE = {"has_gpu": False, "has_experts": False, "trainable": {"attention": 1, "mlp": 1}, "parameters": {"mlp": 1},
         "converted": False, "ranks": {}, "fused": []}  # fmt: skip
ANSWER = {"tree": {"fsdp_config": {}}, "deprecated": {}, "rejected": [], "failed_plugins": {}}
FSDP = ["fsdp_version=2", "fsdp_config={reshard_after_forward: true}"]


@pytest.mark.parametrize(
    ("cluster", "settings", "has_gpu", "found"),
    [
        ("local", [], False, set()),
        ("local", ["bf16=auto"], False, {"schema.cpu-precision"}),
        ("local", ["bf16=auto"], True, set()),
        ("a100", ["bf16=auto", *FSDP], False, set()),
        ("local", FSDP, False, {"schema.cpu-fsdp"}),
        ("local", FSDP, True, set()),
    ],
)
def test_precision_and_sharding(cluster: str, settings: list[str], has_gpu: bool, found: set[str]) -> None:
    spec = load_run_spec(TINY, cluster, settings)
    codes = {each.code for each in schema_findings(spec, Places(spec), ANSWER | {"has_gpu": has_gpu})}
    assert {code for code in codes if code.startswith("schema.cpu")} == found


@pytest.mark.parametrize(
    ("settings", "model", "is_wrong"),
    [
        ([], DENSE, True),
        (["lora_mlp_kernel=true", "lora_qkv_kernel=false"], DENSE, True),
        (["lora_mlp_kernel=false"], DENSE, False),
        (["lora_qkv_kernel=false"], DENSE, False),  # with one of them set, Axolotl turns none on
        (["trust_remote_code=true"], DENSE, False),
        ([], DENSE | {"has_gpu": True}, False),
        ([], DENSE | {"trainable": {"attention": 1}}, False),
        (["adapter=qlora", "load_in_4bit=true"], DENSE | {"trainable": {"attention": 1}}, True),
        (["load_in_4bit=true", "lora_qkv_kernel=true"], DENSE | {"trainable": {"attention": 1}}, True),
        (["load_in_4bit=true", "lora_mlp_kernel=false"], DENSE, False),
    ],
)
def test_kernels_that_need_a_gpu_are_told_where_there_is_none(
    settings: list[str], model: dict[str, object], is_wrong: bool
) -> None:
    spec = load_run_spec(TINY, "local", settings)
    found = [each.code for each in lora_findings(spec, Places(spec), model)]
    assert ("lora.kernels" in found) is is_wrong
