"""A training on a site that takes its nodes away, simulated attempt by attempt. Pure.

Between two losses of the node, nothing is random: so an attempt is computed as a whole, and not step by step.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from random import Random

from jobs.plan.costs import Costs

MOST_ATTEMPTS = 10_000
"""A training that needs more does not end on such a site."""


@dataclass(frozen=True)
class Site:
    """What a site does to a job, in seconds. All intervals are means of exponential distributions."""

    preempt_every: float = inf
    """Time from a job's start to its preemption, which is announced: the training saves and leaves."""
    fail_every: float = inf
    """Time from a job's start to a failure that nobody announces: the steps since the last save are lost."""
    queue_wait: float = 0.0
    limit: float = inf
    """The time limit of a job, minus the warning before it: then the training saves, leaves and queues again."""


@dataclass(frozen=True)
class Outcome:
    """One simulated training, in seconds."""

    end: float
    """From the submission to the end."""
    allocated: float
    queued: float
    productive: float
    """Steps that count."""
    attempts: int
    steps_lost: int
    """Steps that were done again."""
    starting: float
    replayed: float
    """Steps that were done again."""
    evaluating: float

    @property
    def goodput(self) -> float:
        """The productive share of the allocated time."""
        return self.productive / self.allocated


class NeverEnds(ValueError):
    """The site takes the node away before an attempt gets anywhere."""


def simulate(costs: Costs, site: Site, random: Random) -> Outcome:
    """One training from its submission to its end.

    Raises:
        NeverEnds: after 10,000 attempts.
    """

    def draw(mean: float) -> float:
        return random.expovariate(1 / mean) if 0 < mean < inf else mean

    return replay(
        costs, lambda: (draw(site.queue_wait), min(draw(site.preempt_every), site.limit), draw(site.fail_every))
    )


def replay(costs: Costs, next_attempt: Callable[[], tuple[float, float, float]]) -> Outcome:
    """As `simulate`.

    Args:
        next_attempt: the seconds that the next attempt waits, and after its start until it is told to stop, and until it fails.
    """
    done = saved = lost = attempts = 0
    allocated = queued = starting = evaluating = 0.0
    owed = 0 if costs.eval_on_start else None
    """The saved step after which an evaluation comes first: it was cut off, or is that before the first step."""
    while attempts < MOST_ATTEMPTS:
        attempts += 1
        waits, stops, fails = next_attempt()
        queued += waits
        attempt = _Attempt(costs, done, is_owed=done == owed)
        starting += min(costs.start, stops, fails)
        if stops >= attempt.trained and fails >= min(
            stops, attempt.whole
        ):  # a stop after the last step changes nothing
            allocated += attempt.whole
            evaluating += attempt.evaluating(costs.steps, attempt.whole)
            productive, replayed = costs.steps * costs.step, lost * costs.step
            end = queued + allocated
            return Outcome(end, allocated, queued, productive, attempts, lost, starting, replayed, evaluating)
        if fails < stops:
            reached, saved = attempt.failed(fails, saved)
            allocated += fails
            lost += reached - saved
            evaluating += attempt.evaluating(reached, fails)
            done = saved
        else:
            done, is_cut_off, seconds = attempt.stopped(stops)
            saved, owed = done, done if is_cut_off else owed
            allocated += seconds
            evaluating += attempt.evaluating(done, stops)
    raise NeverEnds(f"after {MOST_ATTEMPTS:,} attempts, {done:,} of {costs.steps:,} steps are done")


class _Attempt:
    """One attempt from a saved step, as if it were left alone."""

    def __init__(self, costs: Costs, done: int, is_owed: bool) -> None:
        self._costs, self._done = costs, done
        self._ready = costs.start + costs.evaluation * is_owed

    @property
    def trained(self) -> float:
        """Seconds to the end of its last step, with the evaluation after it."""
        return self._begins(self._costs.steps + 1)

    @property
    def whole(self) -> float:
        """Seconds to its end."""
        return self.trained + self._costs.save + self._costs.leave

    def evaluating(self, reached: int, moment: float) -> float:
        """Seconds of the evaluations that were whole at a moment, when the attempt had completed a step."""
        if moment < self._ready:
            return 0.0
        every, seconds = self._costs.eval_steps, self._costs.evaluation
        count = reached // every - self._done // every if every else 0
        if every and count and reached % every == 0 and moment < self._begins(reached) + self._costs.step + seconds:
            count -= 1  # the one after the last step was cut off
        return count * seconds + self._ready - self._costs.start

    def _begins(self, step: int) -> float:
        """When the work on a step (1, 2, …) begins: after the steps before, and their evaluations and saves."""
        costs, before = self._costs, step - 1
        pieces = (before - self._done) * costs.step
        for every, seconds in ((costs.save_steps, costs.save), (costs.eval_steps, costs.evaluation)):
            if every:
                pieces += (before // every - self._done // every) * seconds
        return self._ready + pieces

    def _at(self, moment: float) -> int:
        """The step that is worked on, or evaluated or saved after, at a moment."""
        steps = range(self._done + 1, self._costs.steps + 1)
        return self._done + bisect_right(steps, moment, key=self._begins)

    def failed(self, moment: float, saved: int) -> tuple[int, int]:
        """The completed steps, and the saved ones, after a failure that nobody announced."""
        every, step = self._costs.save_steps, self._at(moment)
        if step <= self._done:
            return self._done, saved
        reached = step if moment >= self._begins(step) + self._costs.step else step - 1
        newest = (step - 1) // every * every if every else 0  # the save after `step` is not whole
        return reached, max(saved, newest)

    def stopped(self, moment: float) -> tuple[int, bool, float]:
        """Completed and saved steps, whether an evaluation was cut off, and the seconds to the attempt's end, after a stop."""
        costs, step = self._costs, self._at(moment)
        if moment < self._ready or step <= self._done:  # a process that loads ends at once
            return self._done, False, moment
        computed = self._begins(step) + costs.step
        is_evaluated = bool(costs.eval_steps) and step % costs.eval_steps == 0
        evaluated = computed + costs.evaluation * is_evaluated
        saves_at = max(moment, computed) if moment < evaluated else computed + costs.evaluation * is_evaluated
        return step, is_evaluated and moment < evaluated, max(moment, saves_at + costs.save) + costs.leave
