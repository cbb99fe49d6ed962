"""What of a config would keep a run from coming back, or from ever being finished."""

from collections.abc import Iterator

from jobs.check.shared.finding import Finding
from jobs.check.shared.places import Places
from jobs.spec.run_spec import RunSpec


def checkpoint_findings(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """Findings about saving and stopping."""
    limit = spec.axolotl.get("save_total_limit")
    if isinstance(limit, int) and limit < 2:
        yield Finding(
            "error",
            "checkpoints.too-few",
            places.config("save_total_limit"),
            f"found {limit}",
            "while a checkpoint is written, there would be no whole one",
            "write 2 or more",
        )
    wanted = spec.regrow.evaluate.checkpoints
    if isinstance(wanted, int) and isinstance(limit, int) and wanted > limit:
        yield Finding(
            "warning",
            "checkpoints.evaluated",
            places.config("regrow.evaluate.checkpoints"),
            f"{wanted}, but save_total_limit keeps {limit}",
            f"{(wanted - limit) * spec.regrow.evaluate.shards} jobs would have nothing to evaluate",
            f"write {limit} or fewer, or a larger save_total_limit",
        )
    if spec.axolotl.get("early_stopping_patience"):
        yield Finding(
            "error",
            "checkpoints.early-stopping",
            places.config("early_stopping_patience"),
            "a run is finished when its target step is reached",
            "it would come back again and again",
            "remove it; choose the best checkpoint with metric_for_best_model",
        )
