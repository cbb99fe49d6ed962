"""Simulated trainings against what can be computed by hand, and against one that is done step by step."""

from collections.abc import Iterator
from itertools import chain, repeat
from math import inf, sqrt
from random import Random

import pytest

from jobs.plan.costs import Costs
from jobs.plan.planned import plan
from jobs.plan.simulation import NeverEnds, Outcome, Site, replay, simulate

COSTS = Costs(steps=100, step=10.0, start=60.0, save=5.0, evaluation=30.0, leave=2.0, save_steps=20, eval_steps=50)
UNTOUCHED = 60 + 100 * 10 + 5 * 5 + 2 * 30 + 5 + 2
"""Start, steps, saves, evaluations, the last save, the end."""


def ends(costs: Costs, *attempts: tuple[float, float, float]) -> Outcome:
    """A training with these attempts (wait, stop, failure), and then one that nobody disturbs."""
    return replay(costs, chain(attempts, repeat((0.0, inf, inf))).__next__)


def test_undisturbed_training_takes_the_sum_of_its_pieces() -> None:
    found = ends(COSTS)
    assert found == Outcome(UNTOUCHED, UNTOUCHED, 0.0, 1000.0, 1, 0, 60.0, 0.0, 60.0)
    assert found.goodput == 1000 / UNTOUCHED
    assert ends(COSTS.with_given(eval_on_start=True)).end == UNTOUCHED + 30


@pytest.mark.parametrize(
    ("stop", "allocated", "evaluating"),
    [
        (59.0, 59, 60),  # while it loads: it leaves at once
        (60.0, 60 + 10 + 5 + 2, 60),  # in the first step: the step is finished and saved
        (69.9, 60 + 10 + 5 + 2, 60),
        (60 + 195.0, 60 + 200 + 5 + 2, 60),  # in step 20, whose save is also that of the stop
        (60 + 203.0, 60 + 200 + 5 + 2, 60),  # in the save after step 20
        (60 + 510 + 10.0, 60 + 500 + 10 + 10 + 5 + 2, 60),  # in the evaluation of step 50, which is cut off and made up
    ],
)
def test_announced_stop_loses_no_step(stop: float, allocated: float, evaluating: float) -> None:
    found = ends(COSTS, (100.0, stop, inf))
    assert (found.steps_lost, found.attempts, found.queued) == (0, 2, 100.0)
    first = found.allocated - _rest(stop)
    assert first == pytest.approx(allocated)
    assert found.evaluating == evaluating


def _rest(stop: float) -> float:
    """The second attempt, by hand."""
    done = {59.0: 0, 60.0: 1, 69.9: 1, 255.0: 20, 263.0: 20, 580.0: 50}[stop]
    saves = 5 - done // 20
    evaluations = {580.0: 2}.get(stop, 2)
    return 60 + (100 - done) * 10 + saves * 5 + evaluations * 30 + 5 + 2


@pytest.mark.parametrize(
    ("fails", "lost"), [(30.0, 0), (60 + 195.0, 19), (60 + 203.0, 20), (60 + 206.0, 0), (60 + 400.0, 19)]
)
def test_failure_that_nobody_announces_loses_the_steps_since_the_last_save(fails: float, lost: int) -> None:
    found = ends(COSTS, (0.0, inf, fails))
    assert (found.steps_lost, found.attempts) == (lost, 2)


def test_jumps_over_whole_attempts_end_as_a_training_that_is_done_step_by_step() -> None:
    site = Site(preempt_every=400.0, fail_every=900.0, queue_wait=50.0)
    for seed in range(50):
        losses = Random(seed)
        drawn = [tuple(losses.expovariate(1 / mean) for mean in (50.0, 400.0, 900.0)) for _ in range(1000)]
        assert replay(COSTS, iter(drawn).__next__) == pytest.approx(_step_by_step(COSTS, iter(drawn)))
        assert simulate(COSTS, site, Random(seed)).steps_lost >= 0


def _step_by_step(costs: Costs, attempts: Iterator[tuple[float, float, float]]) -> Outcome:
    """The same training with a clock that goes from piece to piece."""
    saved = lost = count = 0
    allocated = queued = starting = evaluating = 0.0
    owed = None
    for waits, stops, fails in attempts:
        count, queued, clock, step = count + 1, queued + waits, 0.0, saved
        pieces = _pieces(costs, saved, saved == owed)
        end, is_failure = min(stops, fails), fails < stops
        starting += min(costs.start, end)
        for kind, seconds in pieces:
            if kind == "end" and not is_failure:
                end = inf  # a stop after the last step changes nothing
            if clock + seconds > end and is_failure:
                clock = end
                break
            if clock + seconds > end:  # told to stop in this piece
                if kind == "step":
                    step, clock = step + 1, clock + seconds + costs.save
                    owed = step if step % costs.eval_steps == 0 else owed
                elif kind == "evaluation":
                    owed, clock = step, end + costs.save
                elif kind == "save":
                    clock += seconds
                else:
                    clock = end
                    break
                saved, clock = step, clock + costs.leave
                break
            clock += seconds
            step += kind == "step"
            evaluating += seconds * (kind in ("evaluation", "owed"))
            saved = step if kind == "save" else saved
        else:
            allocated += clock
            replayed, productive = lost * costs.step, costs.steps * costs.step
            return Outcome(
                queued + allocated, allocated, queued, productive, count, lost, starting, replayed, evaluating
            )
        if is_failure:
            lost += step - saved
        allocated += clock
    raise AssertionError("not enough attempts")


def _pieces(costs: Costs, done: int, is_owed: bool) -> Iterator[tuple[str, float]]:
    yield "start", costs.start
    if is_owed:
        yield "owed", costs.evaluation
    for step in range(done + 1, costs.steps + 1):
        yield "step", costs.step
        if step % costs.eval_steps == 0:
            yield "evaluation", costs.evaluation
        if step % costs.save_steps == 0:
            yield "save", costs.save
    yield "end", costs.save + costs.leave


def test_site_on_which_nothing_can_be_finished_is_told() -> None:
    with pytest.raises(NeverEnds, match="0 of 100 steps"):
        ends_never = Site(preempt_every=inf, limit=30.0)
        simulate(COSTS, ends_never, Random(0))


def test_best_interval_of_saves_is_near_the_formula_of_young_and_daly() -> None:
    costs = Costs(steps=20_000, step=1.0, start=30.0, save=20.0, save_steps=500)
    found = plan(costs, Site(fail_every=6 * 3600.0), trainings=100)
    assert found.young_daly == round(sqrt(2 * 20 * 6 * 3600))
    assert found.best_save_steps is not None and found.young_daly is not None
    assert 0.5 < found.best_save_steps / found.young_daly < 2
    assert sum(found.spent.values()) == pytest.approx(1)


def test_production_run_with_a_preemption_every_two_hours_keeps_its_goodput() -> None:
    """The document's cluster: 4 A100, a step of about 11 s, one preemption in two hours."""
    costs = Costs(
        steps=2200, step=11.0, start=90.0, save=15.0, evaluation=120.0, leave=5.0, save_steps=200, eval_steps=200
    )
    found = plan(costs, Site(preempt_every=7200.0, queue_wait=1200.0))
    assert found.steps_lost.high == 0
    assert found.goodput.median > 0.9
