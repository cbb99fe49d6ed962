"""Settings that would keep a run from resuming, or from ever finishing."""

from collections.abc import Iterator

from jobs.check.shared.finding import Finding
from jobs.check.shared.places import Places
from jobs.spec.run_spec import RunSpec


def checkpoint_findings(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """Findings about saving and early stopping."""
    limit = spec.axolotl.get("save_total_limit")
    if isinstance(limit, int) and limit < 2:
        yield Finding.error(
            "checkpoints.too-few",
            places.config("save_total_limit"),
            found=f"found {limit}",
            cost="while a checkpoint is written, there would be no complete one",
            fix="write 2 or more",
        )
    wanted = spec.regrow.evaluate.checkpoints
    if isinstance(wanted, int) and isinstance(limit, int) and wanted > limit:
        yield Finding.warning(
            "checkpoints.evaluated",
            places.config("regrow.evaluate.checkpoints"),
            found=f"{wanted} checkpoints, but save_total_limit keeps {limit}",
            cost=f"{(wanted - limit) * spec.regrow.evaluate.shards} jobs would have nothing to evaluate",
            fix=f"write {limit} or less, or a larger save_total_limit",
        )
    if spec.axolotl.get("early_stopping_patience"):
        yield Finding.error(
            "checkpoints.early-stopping",
            places.config("early_stopping_patience"),
            found="early stopping: but a run has finished only when it has reached its target step",
            cost="the run would be requeued again and again",
            fix="remove it; select the best checkpoint with metric_for_best_model",
        )
