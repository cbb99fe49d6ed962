"""The criteria of success: passed, failed, or not measured because the two runs cannot show them."""

from dataclasses import replace

import pytest

from callbacks.shared.events import TrainedAgain
from jobs.evaluation.comparison import Comparison, MetricComparison
from jobs.evaluation.criteria import Verdict, criteria
from jobs.evaluation.statistics import Difference, Interval
from jobs.evaluation.training_facts import TrainingFacts

OLD = TrainingFacts(run_uuid="old", has_trained=True, finished_step=100, has_failed=False, world_size=4, steps_per_second=1.0,
                    tokens_per_second=None, peak_memory_gib=None, gpu="A100", config="c", adapter="w")  # fmt: skip
NEW = replace(OLD, run_uuid="new")


def metric(a: float, b: float, low: float, high: float, least: float | None = None) -> MetricComparison:
    difference = Difference(a - b, low, high, 0.5, low if least is None else least)
    return MetricComparison(Interval(a, a, a), Interval(b, b, b), difference)


def comparison(f1: MetricComparison, parse: float = 0.97, exact: MetricComparison | None = None) -> Comparison:
    metrics = {
        "gen_offender_presence_f1": f1,
        "gen_json_parse_rate": metric(parse, 0.9, 0.0, 0.1),
        "gen_all_fields_exact_match_rate": exact or metric(0.6, 0.5, 0.05, 0.15),
    }
    return Comparison(
        records=300,
        metrics=metrics,
        question="presence right",
        right={},
        right_p_value=1.0,
        headline="gen_offender_presence_f1",
    )


BETTER = metric(0.9, 0.8, 0.05, 0.15)
ALL_BETTER = comparison(BETTER)


def verdicts(found: Comparison = ALL_BETTER) -> list[Verdict]:
    return [each.verdict for each in criteria(found, NEW, OLD)]


def test_a_run_that_does_all_passes_all() -> None:
    assert verdicts() == ["pass"] * 6


def test_a_training_that_was_done_again_shows_that_it_repeats() -> None:
    same = TrainedAgain(steps=20, losses=20, has_weights=False, differences=[])
    other = TrainedAgain(steps=20, losses=20, has_weights=False, differences=["the losses differ"])
    changed = replace(NEW, config="other")
    found = [criteria(ALL_BETTER, replace(changed, again=again), OLD)[5] for again in (None, same, other)]
    assert [each.verdict for each in found] == ["not measured", "pass", "fail"]


def test_ranks_without_a_gpu_count_where_they_are_asked_for() -> None:
    two = replace(NEW, gpu=None, world_size=2)
    assert [criteria(ALL_BETTER, two, OLD, ranks)[0].verdict for ranks in (None, 2, 3)] == [
        "not measured",
        "pass",
        "not measured",
    ]


@pytest.mark.parametrize(
    ("index", "found", "verdict"),
    [
        (1, comparison(metric(0.7, 0.8, -0.15, -0.05)), "fail"),
        (1, comparison(metric(0.79, 0.8, -0.05, 0.03)), "not measured"),
        (1, comparison(metric(0.81, 0.8, -0.05, 0.07, least=-0.03)), "not measured"),
        (1, comparison(metric(0.79, 0.8, -0.022, -0.001, least=-0.0199)), "pass"),
        (2, comparison(BETTER, parse=0.949), "fail"),
        (
            1,
            comparison(MetricComparison(*[Interval(None, None, None)] * 2, Difference(None, None, None, None, None))),
            "not measured",
        ),
        (3, comparison(BETTER, exact=metric(0.5, 0.5, 0.0, 0.0)), "fail"),
        (3, comparison(BETTER, exact=metric(0.49, 0.5, -0.1, 0.1)), "not measured"),
        (3, comparison(BETTER, exact=metric(0.51, 0.5, -0.1, 0.12)), "not measured"),
    ],
)
def test_metrics_decide_where_the_records_can_tell(index: int, found: Comparison, verdict: Verdict) -> None:
    assert verdicts(found)[index] == verdict


@pytest.mark.parametrize(
    ("index", "changed", "verdict"),
    [
        (0, {"finished_step": None}, "not measured"),
        (0, {"finished_step": None, "has_failed": True}, "fail"),
        (5, {"world_size": 2}, "not measured"),
        (0, {"has_trained": False}, "not measured"),
        (0, {"world_size": 1}, "not measured"),
        (0, {"gpu": None}, "not measured"),
        (4, {"steps_per_second": 0.81}, "pass"),
        (4, {"steps_per_second": 0.79}, "fail"),
        (4, {"steps_per_second": None}, "not measured"),
        (4, {"world_size": 8}, "not measured"),
        (4, {"gpu": "H100"}, "not measured"),
        (5, {"adapter": "other"}, "fail"),
        (5, {"adapter": None}, "not measured"),
        (5, {"config": "other"}, "not measured"),
        (4, {"run_uuid": "old"}, "not measured"),
        (5, {"run_uuid": "old"}, "not measured"),
    ],
)
def test_trainings_compare_only_where_they_are_comparable(
    index: int, changed: dict[str, object], verdict: Verdict
) -> None:
    found = criteria(comparison(BETTER), replace(NEW, **changed), OLD)[index]  # type: ignore[arg-type]
    assert (found.verdict, bool(found.reason)) == (verdict, True)
