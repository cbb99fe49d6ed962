"""The costs and the site of a plan: from a run's journal and profile, changed by what was typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from statistics import mean

from callbacks.shared.journal import read_journal
from jobs.history.time_spent import attempt_times
from jobs.plan.costs import Costs, intervals, measured_costs, queue_waits
from jobs.plan.simulation import Site
from jobs.spec.errors import ConfigError
from jobs.spec.find import name_to_type
from jobs.spec.run_spec import RunSpec

WARNING_SECONDS = 90
"""How long before the time limit submitit's signal comes, if the profile does not say."""


@dataclass(frozen=True)
class Measured:
    """What a run shows of a training like it."""

    costs: Costs
    queue_wait: float
    """The mean wait of an attempt after the first one, in seconds; 0: there was none."""
    attempts: int


def measured(spec: RunSpec, steps: int | None) -> Measured:
    """Read a run, and plan one of `steps` steps; None: of as many as the run has.

    Raises:
        ConfigError: the run has not trained yet.
    """
    entries = read_journal(spec.paths.journal)
    attempts = attempt_times(entries)
    costs = measured_costs(entries, attempts)
    if costs is None:
        raise ConfigError(
            f"{spec.name} has not trained two steps yet, so nothing is measured\n"
            f"hint: `regrow status {name_to_type(spec)}`; or type the costs: --steps, --step-seconds, --start-seconds"
        )
    steps = steps or costs.steps
    waits = queue_waits(attempts)
    trained = sum(each.stage == "train" for each in attempts)
    costs = costs.with_given(steps=steps, **intervals(spec, steps))
    return Measured(costs, mean(waits) if waits else 0.0, trained)


def site_of(spec: RunSpec | None, typed: Mapping[str, float | None], queue_wait: float) -> Site:
    """The site: `typed` has preempt_every, fail_every, queue_wait and limit in seconds; None: not typed."""
    limit = inf
    if spec and spec.profile.executor == "slurm" and (minutes := spec.profile.train.get("timeout_min")):
        limit = max(1.0, 60 * minutes - spec.profile.train.get("slurm_signal_delay_s", WARNING_SECONDS))
    known = {"preempt_every": inf, "fail_every": inf, "queue_wait": queue_wait, "limit": limit}
    return Site(**known | {key: value for key, value in typed.items() if value is not None})
