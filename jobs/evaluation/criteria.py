"""The migration plan's criteria of success, for a run and the baseline that it should replace. Pure."""

from dataclasses import dataclass
from typing import Literal

from callbacks.shared.tasks.extraction_scorer import PRESENCE_F1
from jobs.evaluation.comparison import Comparison, MetricComparison
from jobs.evaluation.markdown import interval_text, number, signed_text
from jobs.evaluation.training_facts import TrainingFacts

Verdict = Literal["pass", "fail", "not measured"]
GPUS = 4
PARSE_RATE, EXACT_MATCH = "gen_json_parse_rate", "gen_all_fields_exact_match_rate"
LEAST_PARSE_RATE = 0.95
LEAST_SPEED = 0.8
MARGIN = 0.02
"""The loss of the ranking metric that still counts as no worse. Some margin is needed: no number of records shows that two
models are equal."""
ONE_TRAINING = "both models come from one training"
NOBODY = "neither the records nor the answers name an offender"


@dataclass(frozen=True)
class Criterion:
    """One criterion with its verdict."""

    criterion: str
    verdict: Verdict
    reason: str


def criteria(found: Comparison, new: TrainingFacts, old: TrainingFacts, ranks: int | None = None) -> list[Criterion]:
    """The verdict on each criterion; "not measured", with a reason, if these two runs cannot show it.

    Args:
        ranks: ask for so many ranks, with GPUs or without; None: for the plan's number of GPUs.
    """
    is_extraction = PRESENCE_F1 in found.metrics
    headline = "presence F1" if is_extraction else found.headline.removeprefix("gen_").replace("_", " ")
    where = f"{GPUS} GPUs" if ranks is None else "one rank" if ranks == 1 else f"{ranks} ranks"
    of_extraction = [
        Criterion(f"parse rate at least {LEAST_PARSE_RATE:.0%}", *_parses(found)),
        Criterion("exact match improves (expected)", *_improves(found)),
    ] if is_extraction else []  # fmt: skip
    return [
        Criterion(f"training completes on {where}", *_completes(new, ranks)),
        Criterion(f"{headline} no worse than the baseline (margin {MARGIN:g})", *_no_worse(found)),
        *of_extraction,
        Criterion(f"at least {LEAST_SPEED:.0%} of the baseline's training speed", *_speed(new, old)),
        Criterion("same YAML and seed, same result", *_repeats(new, old)),
    ]


def _completes(new: TrainingFacts, ranks: int | None) -> tuple[Verdict, str]:
    if not new.has_trained:
        return "not measured", "regrow did not train this model"
    if new.finished_step is None:
        return ("fail" if new.has_failed else "not measured"), "the run has not reached its target step"
    if (new.gpu is None and ranks is None) or new.world_size != (ranks or GPUS):
        device = "GPUs" if new.gpu else "CPU ranks"
        return "not measured", f"the run finished at step {new.finished_step}, on {new.world_size} {device}"
    return "pass", f"finished at step {new.finished_step} on {new.world_size} {new.gpu or 'CPU ranks'}"


def _no_worse(found: Comparison) -> tuple[Verdict, str]:
    """A test of non-inferiority, one-sided at 95 %, on the paired difference."""
    each = found.metrics[found.headline]
    least, high = each.difference.least, each.difference.high
    if least is None or high is None:
        return "not measured", NOBODY if found.headline == PRESENCE_F1 else "the metric is undefined for these records"
    if least >= -MARGIN:
        return "pass", f"{_beside(each)}; at 95 %, not below {least:+.3f}"
    return ("fail", _beside(each)) if high < 0 else ("not measured", _cannot_tell(each, found.records))


def _parses(found: Comparison) -> tuple[Verdict, str]:
    rate = found.metrics[PARSE_RATE].a
    return ("pass" if (rate.value or 0) >= LEAST_PARSE_RATE else "fail"), interval_text(rate)


def _improves(found: Comparison) -> tuple[Verdict, str]:
    each = found.metrics[EXACT_MATCH]
    low, high = each.difference.low or 0, each.difference.high or 0
    if low > 0:
        return "pass", _beside(each)
    return ("fail", _beside(each)) if high <= 0 else ("not measured", _cannot_tell(each, found.records))


def _beside(each: MetricComparison) -> str:
    return f"{number(each.a.value)} against {number(each.b.value)}; difference {signed_text(each.difference)}"


def _cannot_tell(each: MetricComparison, records: int) -> str:
    return f"{_beside(each)}: {records:,} records are too few to tell"


def _speed(new: TrainingFacts, old: TrainingFacts) -> tuple[Verdict, str]:
    if new.run_uuid == old.run_uuid:
        return "not measured", ONE_TRAINING
    if not new.steps_per_second or not old.steps_per_second:
        return "not measured", "one of the two runs has no training in its journal"
    if (new.gpu, new.world_size) != (old.gpu, old.world_size):
        machines = " and ".join(f"{facts.world_size}×{facts.gpu or 'CPU'}" for facts in (new, old))
        return (
            "not measured",
            f"the models were trained on {machines}; speeds can be compared only on the same hardware",
        )
    ratios = {"steps/s": new.steps_per_second / old.steps_per_second}
    if new.tokens_per_second and old.tokens_per_second:
        ratios["tokens/s"] = new.tokens_per_second / old.tokens_per_second
    said = " and ".join(f"{ratio:.0%} of the baseline's {unit}" for unit, ratio in ratios.items())
    return ("pass" if min(ratios.values()) >= LEAST_SPEED else "fail"), said


def _repeats(new: TrainingFacts, old: TrainingFacts) -> tuple[Verdict, str]:
    if again := new.again:
        what = (
            f"{again.losses:,} losses up to step {again.steps:,}{' and the final weights' if again.has_weights else ''}"
        )
        return (
            ("fail", again.differences[0])
            if again.differences
            else ("pass", f"trained again: {what} are bit-identical")
        )
    if new.run_uuid == old.run_uuid:
        return "not measured", f"{ONE_TRAINING}; `regrow verify RUN --again STEPS` trains again and compares"
    if not new.adapter or not old.adapter:
        return "not measured", "one of the two runs has no final weights"
    if new.config != old.config:
        return "not measured", "the configs differ; `regrow verify RUN --again STEPS` trains again and compares"
    if new.world_size != old.world_size:
        return (
            "not measured",
            f"the models were trained on {new.world_size} and {old.world_size} ranks, which sum in a different order",
        )
    same = new.adapter == old.adapter
    return ("pass" if same else "fail"), f"the final weights are {'bit-identical' if same else 'different'}"
