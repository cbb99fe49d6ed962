"""Findings about the config that need no Axolotl: the class name, the seed, the evaluation."""

import re
from collections.abc import Iterator
from typing import Any

from callbacks.shared.args import OwnTask
from callbacks.shared.tasks.scorers import scorer_of
from jobs.check.schema import SUCCESSORS
from jobs.check.shared.finding import Finding, Level
from jobs.check.shared.places import Places
from jobs.spec.errors import nearest
from jobs.spec.run_spec import RunSpec

MODEL_CLASS = re.compile(r"[A-Z]\w*(For\w+|LMHeadModel)")
EVALUATION_KEYS = (
    "eval_strategy", "evaluation_strategy", "eval_steps", "evals_per_epoch", "early_stopping_patience",
    "load_best_model_at_end", "metric_for_best_model",
)  # fmt: skip
"""Keys that say something about evaluations during the training."""
POSITIVE = {
    "learning_rate": "the model would learn nothing, or the opposite",
    "max_steps": "0 means no limit: num_epochs counts",
    "num_epochs": "there would be no training",
    "micro_batch_size": "there would be no batch",
    "gradient_accumulation_steps": "there would be no optimizer step",
    "sequence_len": "no record would fit",
}
"""Keys whose numbers must be above 0, and why."""


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
    yield from _numbers(config, places)
    yield from _intervals(config, places)
    yield from _best(spec, places)


def _numbers(config: dict[str, Any], places: Places) -> Iterator[Finding]:
    """Numbers with which a training cannot do what it says."""
    for key, cost in POSITIVE.items():
        value = config.get(key)
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and value <= 0
            and (key, value) != ("max_steps", -1)
        ):
            level: Level = "warning" if value == 0 else "error"
            yield Finding(
                level,
                "schema.value",
                places.config(key),
                found=f"found {value}",
                cost=cost,
                fix="write a number above 0",
            )


def _intervals(config: dict[str, Any], places: Places) -> Iterator[Finding]:
    """Evaluations and saves that never come, because the training ends before."""
    last = config.get("max_steps")
    for key, what in (("eval_steps", "evaluation"), ("save_steps", "save")):
        every = config.get(key)
        if isinstance(every, int) and isinstance(last, int) and 0 < last < every:
            yield Finding.warning(
                "schema.never",
                places.config(key),
                found=f"{key}: {every}, but max_steps: {last}",
                cost=f"there would be no {what} before the end of the training",
                fix=f"write {key}: {max(1, last // 2)}",
            )


def _best(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """A best checkpoint that would not be loaded, or that is looked for by a metric that nobody writes."""
    config = spec.axolotl
    saves, evaluations = config.get("save_steps"), config.get("eval_steps")
    if (
        config.get("load_best_model_at_end")
        and isinstance(saves, int)
        and isinstance(evaluations, int)
        and saves % evaluations
    ):
        yield Finding.warning(
            "schema.never",
            places.config("load_best_model_at_end"),
            found=f"save_steps: {saves} is no multiple of eval_steps: {evaluations}",
            cost="Axolotl would not load the best checkpoint, and say nothing",
            fix=f"write save_steps: {evaluations * max(1, round(saves / evaluations))}",
        )
    metric = str(config.get("metric_for_best_model") or "").removeprefix("eval_")
    if not metric.startswith("gen_"):
        return
    try:
        scorer = scorer_of(spec.regrow)
    except ValueError:  # another finding says so
        return
    known = scorer.about.metrics if scorer else ()
    if metric not in known and not isinstance(spec.regrow.task, OwnTask):
        yield Finding.error(
            "schema.value",
            places.config("metric_for_best_model"),
            found=f"{metric} is no score of the task" if scorer else f"{metric}, but the config has no regrow.task",
            cost="the training would fail at its first evaluation",
            fix=nearest(metric, known) if known else "write regrow.task, which says what an answer is",
        )


def _evaluation(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """Find out whether no evaluation would take place, although one is expected."""
    config, has_records = spec.axolotl, bool(spec.axolotl.get("test_datasets") or spec.axolotl.get("val_set_size"))
    strategy = config.get("eval_strategy", config.get("evaluation_strategy"))
    wanted = [key for key in EVALUATION_KEYS if config.get(key) not in (None, False, "no", 0)]
    if not has_records and spec.regrow.task:
        yield Finding.error(
            "schema.no-evaluation",
            places.config("regrow", "task"),
            found="a task, and no records to evaluate on",
            cost="there would be no evaluation and no scores, and no message about it (exit code 0)",
            fix="write `test_datasets`, each with path, ds_type, split: train and type; or `val_set_size`, e.g. 0.05",
        )
        return
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
