"""Findings about the config that need no Axolotl: the class name, the seed, the evaluation."""

import re
from collections.abc import Iterator

from jobs.check.schema import SUCCESSORS
from jobs.check.shared.finding import Finding
from jobs.check.shared.places import Places
from jobs.spec.run_spec import RunSpec

MODEL_CLASS = re.compile(r"[A-Z]\w*(For\w+|LMHeadModel)")
EVALUATION_KEYS = (
    "eval_strategy", "evaluation_strategy", "eval_steps", "evals_per_epoch", "early_stopping_patience",
    "load_best_model_at_end", "metric_for_best_model",
)  # fmt: skip
"""Keys that say something about evaluations during the training."""


def config_findings(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """Findings about `model_type`, `seed`, and the keys of an evaluation."""
    config = spec.axolotl
    if (name := config.get("model_type")) and not MODEL_CLASS.fullmatch(str(name)):
        yield Finding.error(
            "schema.value",
            places.config("model_type"),
            found=f"`{name}` is not the name of a model class",
            cost="the model does not load",
            fix=SUCCESSORS["model_type"],
        )
    if "seed" in spec.added:
        yield Finding.note(
            "schema.no-seed",
            places.config("seed"),
            found=f"no seed: regrow sets seed: {config['seed']}",
            cost="without one, LoRA would start from other values in each run: two runs of one config would differ",
            fix=f"write seed: {config['seed']}, or another one",
        )
    yield from _evaluation(spec, places)


def _evaluation(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """Find out whether no evaluation would take place, although one is expected."""
    config, has_records = spec.axolotl, bool(spec.axolotl.get("test_datasets") or spec.axolotl.get("val_set_size"))
    strategy = config.get("eval_strategy", config.get("evaluation_strategy"))
    wanted = [key for key in EVALUATION_KEYS if config.get(key) not in (None, False, "no", 0)]
    if not has_records and wanted:
        yield Finding.warning(
            "schema.no-evaluation",
            places.config(wanted[0]),
            found="no records to evaluate on",
            cost="there would be no evaluation, and no message about it (exit code 0)",
            fix="write `test_datasets`, each with path, ds_type, split: train and type; or `val_set_size`, e.g. 0.05",
        )
    elif has_records and strategy in ("no", False):
        yield Finding.warning(
            "schema.no-evaluation",
            places.config("eval_strategy"),
            found=f"eval_strategy: {strategy}",
            cost="there would be no evaluation during the training",
            fix="write eval_strategy: steps, and eval_steps",
        )
