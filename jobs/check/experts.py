"""How a mixture of experts computes its experts: in a loop, as grouped matrix products, or by a kernel of Axolotl's."""

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.check.shared.finding import Finding
from jobs.check.shared.places import Places
from jobs.spec.run_spec import RunSpec, texts

KERNELS_PLUGIN = "axolotl.integrations.kernels.KernelsPlugin"
KERNELS = ("scattermoe", "sonicmoe")
KERNEL_KEYS = f"add {KERNELS_PLUGIN} to plugins, and write use_scattermoe: true"
LOOP, GROUPED = "eager", "grouped_mm"
BUILT_IN = (LOOP, "batched_mm", GROUPED)


def expert_path(config: Mapping[str, Any]) -> str:
    """The experts' implementation that a config takes, by its name in Transformers.

    Without its plugin, Axolotl drops the keys and Transformers takes grouped matrix products; with the plugin and no key,
    Axolotl takes the loop (ax/integrations/kernels/args.py, check_experts_implementation).
    """
    if KERNELS_PLUGIN not in texts(config.get("plugins")):
        return GROUPED
    for kernel in KERNELS:
        if config.get(f"use_{kernel}") or str(config.get("expert_backend")).lower() == kernel:
            return kernel
    chosen = str(config.get("experts_implementation"))
    return chosen if chosen in BUILT_IN or chosen.startswith("deep_ep") else LOOP


def expert_findings(spec: RunSpec, places: Places, answer: dict[str, Any]) -> Iterator[Finding]:
    """Findings about paths that leave the GPU idle.

    Args:
        answer: of `jobs.check.shared.probe` about the model.
    """
    if not answer.get("has_experts") or not spec.trains_on_gpu(answer["has_gpu"]):
        return
    path, layers = expert_path(spec.axolotl), answer["dimensions"]["layers"]
    if path == LOOP:
        yield Finding.warning(
            "speed.expert-loop",
            places.config("plugins"),
            found=f"{KERNELS_PLUGIN} is there without a kernel, so Axolotl computes the experts one after the other",
            cost="users report that the GPU is busy for 10 to 20 % of the time",
            fix=f"write use_scattermoe: true; or remove the plugin: Transformers then takes {GROUPED}",
        )
    if path == GROUPED and layers and answer["trainable"].get("experts") and spec.axolotl.get("adapter"):
        size = 2 * answer["parameters"]["experts"] / layers / 1e9
        yield Finding.note(
            "speed.expert-lora",
            places.config("lora_target_parameters"),
            found=f"the experts take {GROUPED}, and peft adds the adapter to all experts of a layer ({size:.1f} GB in bf16) in "
            "each forward pass",
            cost="steps take longer than the experts that are used need",
            fix=f"{KERNEL_KEYS}: Axolotl's kernel multiplies with the adapter alone; compare both by `make bench-gpu` first",
        )
