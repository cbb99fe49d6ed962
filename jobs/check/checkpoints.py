"""What of a config would keep a run from coming back, or from ever being finished."""

from collections.abc import Iterator

from jobs.check.finding import Finding
from jobs.spec import RunSpec


def checkpoint_findings(spec: RunSpec) -> Iterator[Finding]:
    """Findings about saving and stopping."""
    limit = spec.axolotl.get("save_total_limit")
    if limit is not None and int(limit) < 2:
        yield Finding(
            "error",
            "checkpoints.too-few",
            f"{spec.config}: save_total_limit",
            f"{limit}: while a checkpoint is written, there would be no whole one",
            "write 2 or more",
        )
    if spec.axolotl.get("early_stopping_patience"):
        yield Finding(
            "error",
            "checkpoints.early-stopping",
            f"{spec.config}: early_stopping_patience",
            "a run is finished when its target step is reached, and would come back again and again",
            "remove it; choose the best checkpoint with metric_for_best_model",
        )
