"""`regrow plan`."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.cli.options import AsJson, Cluster, Settings
from jobs.cli.screen.say import say

if TYPE_CHECKING:
    from jobs.plan.costs import Costs
    from jobs.plan.planned import Plan, Range
    from jobs.plan.simulation import Site
    from jobs.spec.run_spec import RunSpec

What = Annotated[
    str | None, typer.Argument(metavar="[RUN|CONFIG]", help="What to plan. The measured times of a run count.")
]
Like = Annotated[
    str | None, typer.Option(metavar="RUN", help="Another run whose measured times count, e.g. a trial of 50 steps.")
]
Steps = Annotated[int | None, typer.Option(min=1, help="Optimizer steps to plan. Default: as many as it has.")]
PreemptEvery = Annotated[
    str | None, typer.Option(metavar="TIME", help="Mean time from a job's start to its preemption, e.g. 2h.")
]
FailEvery = Annotated[
    str | None, typer.Option(metavar="TIME", help="The same for failures that nobody announces, e.g. 10d.")
]
QueueWait = Annotated[
    str | None, typer.Option(metavar="TIME", help="Mean wait in the queue. Default: that of the measured run.")
]
TimeLimit = Annotated[
    str | None, typer.Option(metavar="TIME", help="Time limit of a job. Default: that of the profile.")
]
StepSeconds = Annotated[float | None, typer.Option(min=0.0, help="Seconds of a step.")]
StartSeconds = Annotated[float | None, typer.Option(min=0.0, help="Seconds from a job's start to its first step.")]
SaveSeconds = Annotated[float | None, typer.Option(min=0.0, help="Seconds of a save.")]
EvaluationSeconds = Annotated[float | None, typer.Option(min=0.0, help="Seconds of an evaluation.")]
SaveSteps = Annotated[int | None, typer.Option(min=0, help="Steps between two saves.")]
EvalSteps = Annotated[int | None, typer.Option(min=0, help="Steps between two evaluations.")]


def plan(
    what: What = None,
    like: Like = None,
    steps: Steps = None,
    preempt_every: PreemptEvery = None,
    fail_every: FailEvery = None,
    queue_wait: QueueWait = None,
    time_limit: TimeLimit = None,
    step_seconds: StepSeconds = None,
    start_seconds: StartSeconds = None,
    save_seconds: SaveSeconds = None,
    evaluation_seconds: EvaluationSeconds = None,
    save_steps: SaveSteps = None,
    eval_steps: EvalSteps = None,
    trainings: Annotated[int, typer.Option(min=10, help="How many trainings to simulate.")] = 200,
    cluster: Cluster = "local",
    settings: Settings = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Simulate a training that loses its nodes. Print when it ends, its goodput, and how often it should save."""
    from jobs.plan.of_run import known_costs
    from jobs.plan.planned import plan as simulated
    from jobs.plan.simulation import NeverEnds
    from jobs.spec.errors import ConfigError
    from jobs.spec.find import named_run

    spec = _planned(what, cluster, settings) if what else None
    times = named_run(like, cluster, settings) if like else spec if spec and not _is_config(what) else None
    found = known_costs(spec, times, steps)
    given = {"step": step_seconds, "start": start_seconds, "save": save_seconds, "evaluation": evaluation_seconds}
    costs = found.costs.with_given(**given, save_steps=save_steps, eval_steps=eval_steps)
    if not costs.step:
        raise ConfigError(
            "the seconds of a step are not known\n"
            "hint: name a run whose times count (--like), e.g. a trial of 50 steps; or type --step-seconds"
        )
    losses = {
        "preempt-every": preempt_every,
        "fail-every": fail_every,
        "queue-wait": queue_wait,
        "time-limit": time_limit,
    }
    site = _site(spec, losses, found.queue_wait)
    try:
        expected = simulated(costs, site, trainings)
    except NeverEnds as error:
        raise ConfigError(
            f"the training does not end on such a site: {error}\n"
            "hint: it must start, train a step and save before the node is taken away"
        ) from None
    if as_json:
        finite = {key: None if value == inf else value for key, value in asdict(site).items()}
        say(json.dumps({"costs": asdict(costs), "site": finite, **asdict(expected)}, indent=1))
    else:
        say("\n".join(_lines(costs, site, expected, found.attempts)))


def _site(spec: "RunSpec | None", losses: dict[str, str | None], queue_wait: float) -> "Site":
    """The site by the profile and by what was typed."""
    from jobs.plan.of_run import WARNING_SECONDS, site_of

    typed = {
        name.replace("-", "_"): _seconds(f"--{name}", text, least=0.0 if name == "queue-wait" else 1.0)
        for name, text in losses.items()
    }
    limit = typed.pop("time_limit")
    return site_of(spec, typed | {"limit": limit and max(1.0, limit - WARNING_SECONDS)}, queue_wait)


def _is_config(what: str | None) -> bool:
    return bool(what and what.endswith((".yml", ".yaml")))


def _planned(what: str, cluster: str, settings: list[str]) -> "RunSpec":
    """The run or the config that is planned."""
    from jobs.spec.find import named_run
    from jobs.spec.resolve import load_run_spec

    return load_run_spec(Path(what), cluster, settings) if _is_config(what) else named_run(what, cluster, settings)


def _seconds(option: str, text: str | None, least: float = 1.0) -> float | None:
    from jobs.plan.durations import seconds_of
    from jobs.spec.errors import ConfigError

    try:
        seconds = seconds_of(text) if text is not None else None
    except ValueError as error:
        raise ConfigError(f"{option} {error}") from None
    if seconds is not None and seconds < least:
        raise ConfigError(f"{option} {text}: too short\nhint: write at least {least:.0f}s")
    return seconds


def _lines(costs: "Costs", site: "Site", expected: "Plan", attempts: int) -> Iterator[str]:
    from jobs.history.status import duration

    def times(found: "Range") -> str:
        return f"{duration(found.median):>10}   {duration(found.low)} to {duration(found.high)}"

    def numbers(found: "Range") -> str:
        return f"{found.median:>10,.0f}   {found.low:,.0f} to {found.high:,.0f}"

    measured = f"measured in {attempts:,} attempt{'s' if attempts > 1 else ''}" if attempts else "as typed"
    yield f"{costs.steps:,} steps of {costs.step:.3g} s, {measured}"
    pieces = [f"start {costs.start:.3g} s"]
    for name, seconds, every in (
        ("save", costs.save, costs.save_steps),
        ("evaluation", costs.evaluation, costs.eval_steps),
    ):
        pieces.append(f"{name} {seconds:.3g} s{f' every {every:,} steps' if every else ''}")
    yield ", ".join(pieces)
    losses = (("preempted", site.preempt_every), ("failed", site.fail_every), ("stopped by its time limit", site.limit))
    said = [f"{what} after {duration(seconds)}" for what, seconds in losses if seconds < inf]
    yield f"{', '.join(said) or 'never stopped'}; waits {duration(site.queue_wait)}"
    goodput = expected.goodput
    yield f"\n{'':12}{'median':>10}   nine in ten of {expected.trainings:,} simulated trainings"
    yield f"{'end after':12}{times(expected.end)}"
    yield f"{'in the queue':12}{times(expected.queued)}"
    yield f"{'allocated':12}{times(expected.allocated)}"
    yield f"{'goodput':12}{goodput.median:>10.1%}   {goodput.low:.1%} to {goodput.high:.1%}"
    yield f"{'attempts':12}{numbers(expected.attempts)}"
    yield f"{'steps lost':12}{numbers(expected.steps_lost)}"
    yield "\nallocated time: " + ", ".join(f"{name} {share:.1%}" for name, share in expected.spent.items())
    if expected.best_save_steps:
        yield (
            f"save_steps: {expected.best_save_steps:,} has the best goodput; by the formula of Young and Daly "
            f"{expected.young_daly:,}"
        )
