"""Settings with which a stopped run would not continue as if nobody had stopped it."""

from collections.abc import Iterator

from jobs.check.shared.finding import Finding
from jobs.check.shared.places import Places
from jobs.spec.run_spec import RunSpec

NOT_RESUMABLE = {
    "relora": "Axolotl cannot load a checkpoint of ReLoRA (0.19): the resumed training fails",
    "lisa_n_layers": "a checkpoint does not say which layers LISA trains, so a resumed training would train others",
}
"""Keys of trainings that cannot continue from a checkpoint, and why. Seen with Axolotl 0.19."""


def checkpoint_findings(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """Findings about what a checkpoint has, and about resuming from it."""
    if spec.axolotl.get("save_only_model"):
        yield Finding.error(
            "checkpoints.model-only",
            places.config("save_only_model"),
            found="checkpoints without the optimizer's state",
            cost="a stopped run could not resume",
            fix="remove the key; `save_total_limit` keeps checkpoints from filling the disk",
        )
    if spec.axolotl.get("auto_find_batch_size"):
        yield Finding.warning(
            "checkpoints.batch-size",
            places.config("auto_find_batch_size"),
            found="the batch size is searched for at each start",
            cost="a resumed attempt may find another batch size, and train on other batches",
            fix="remove the key, and write the `micro_batch_size` that fits",
        )
    for key, reason in NOT_RESUMABLE.items():
        if spec.axolotl.get(key):
            yield Finding.error(
                "checkpoints.not-resumable",
                places.config(key),
                found=reason,
                cost="a stopped run could not resume",
                fix="remove the key; or submit with `--force`, and a time limit and partition that do not stop the run",
            )
