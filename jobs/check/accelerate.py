"""Compares the profile's accelerate config with what a job does."""

from jobs.check.shared.finding import Level
from jobs.spec.paths import REPO_ROOT, from_root
from jobs.spec.run_spec import RunSpec
from jobs.spec.yaml_file import load_yaml

ACCELERATE_KEYS = {
    "compute_environment", "distributed_type", "num_machines", "num_processes", "machine_rank", "mixed_precision",
    "use_cpu", "main_training_function", "debug",
}  # fmt: skip
"""Keys of an accelerate config that a job follows, or that do not concern it."""


def accelerate_problems(spec: RunSpec) -> list[tuple[Level, str]]:
    """Each key of the profile's accelerate config that a job would not follow, as a sentence.

    The precision is the Axolotl config's, so that one profile serves all configs: only `accelerate launch` by hand would differ.
    """
    if not spec.profile.accelerate_config:
        return []
    path = from_root(spec.profile.accelerate_config)
    content = load_yaml(path)
    shown = path.relative_to(REPO_ROOT) if path.is_relative_to(REPO_ROOT) else path
    problems: list[tuple[Level, str]] = [
        ("error", f"{shown}: {key}: a job cannot follow this key; remove it")
        for key in sorted(set(content) - ACCELERATE_KEYS)
    ]
    precision, bf16 = content.get("mixed_precision", "no"), bool(spec.axolotl.get("bf16"))
    if not spec.regrow.trainer and (precision == "bf16") != bf16:
        said = f"but `bf16: {spec.axolotl.get('bf16')}` in the Axolotl config, which a job follows"
        problems.append(("warning", f"{shown}: mixed_precision: {precision}, {said}"))
    return problems
