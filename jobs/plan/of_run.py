"""The costs and the site of a plan: from a run's journal and profile, changed by what was typed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    queue_wait: float = 0.0
    """The mean wait of an attempt after the first one, in seconds; 0: there was none."""
    attempts: int = 0
    """How many attempts were measured; 0: nothing was."""


def known_costs(planned: RunSpec | None, like: RunSpec | None, steps: int | None) -> Measured:
    """The costs of a training, as far as they are known: a step of 0 seconds is not.

    Args:
        planned: says how long the training is, and when it saves and evaluates; None: only `steps` does.
        like: the run whose times count; None: they are typed.
        steps: the length, in place of that of `planned`.

    Raises:
        ConfigError: nothing says how long the training is, or `like` has not trained yet.
    """
    found = _measured(like) if like else Measured(Costs(0, 0.0, 0.0))
    of_run = found.costs.steps if planned is like else 0
    in_config = int(planned.axolotl.get("max_steps") or 0) if planned else 0
    length = steps or of_run or max(0, in_config)
    if not length:
        raise ConfigError(
            "the number of optimizer steps is not known\n"
            "hint: type --steps; `regrow status` shows that of a run, also of a trial with the same records"
        )
    when = intervals(planned, length) if planned else {}
    return replace(found, costs=found.costs.with_given(steps=length, **when))


def _measured(spec: RunSpec) -> Measured:
    entries = read_journal(spec.paths.journal)
    attempts = attempt_times(entries)
    costs = measured_costs(entries, attempts)
    if costs is None:
        raise ConfigError(
            f"{spec.name} has not trained two steps yet, so nothing is measured\nhint: `regrow status {name_to_type(spec)}`"
        )
    waits = queue_waits(attempts)
    return Measured(costs, mean(waits) if waits else 0.0, sum(each.stage == "train" for each in attempts))


def site_of(spec: RunSpec | None, typed: Mapping[str, float | None], queue_wait: float) -> Site:
    """The site: `typed` has preempt_every, fail_every, queue_wait and limit in seconds; None: not typed."""
    limit = inf
    if spec and spec.profile.executor == "slurm" and (minutes := spec.profile.train.get("timeout_min")):
        limit = max(1.0, 60 * minutes - spec.profile.train.get("slurm_signal_delay_s", WARNING_SECONDS))
    known = {"preempt_every": inf, "fail_every": inf, "queue_wait": queue_wait, "limit": limit}
    return Site(**known | {key: value for key, value in typed.items() if value is not None})
