"""The few figures by which a run is judged. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry
from callbacks.shared.projection import Projection
from jobs.history.progress import finished_step
from jobs.history.time_spent import AttemptTimes, gpu_hours, main_stage, steps_lost, total
from jobs.report.endings import PREEMPTED, with_running
from jobs.spec.run_spec import RunSpec


@dataclass(frozen=True)
class RunFacts:
    """A run's result so far."""

    status: str
    """FINISHED, FAILED, KILLED or RUNNING."""
    step: int | None
    target_step: int | None
    loss: float | None
    """The newest logged loss; None: none yet."""
    goodput: float | None
    """Productive share of the main stage's allocated time; None: no time was allocated. The main stage: train, else evaluate."""
    gpu_hours: float
    attempts: int
    """Number of attempts of the main stage."""
    preemptions: int
    """Number of these attempts whose node Slurm gave to another job."""
    interruptions: int
    """Number of these attempts that did not finish: preempted, timed out or broken."""
    steps_lost: int
    seconds: float
    """From the submission to the end; for a running run, to the newest entry."""


def run_facts(spec: RunSpec, entries: Sequence[Entry], attempts: Sequence[AttemptTimes]) -> RunFacts:
    logged = [entry for entry in only(entries, events.Metrics) if "loss" in entry.values]
    targets = [entry.target_step for entry in only(entries, events.TrainingBegan)]
    projection = Projection()
    projection.add(entries)
    main = [each for each in attempts if each.stage == main_stage(attempts)]
    endings = list(with_running(main, projection.status).values())
    finished = finished_step(list(entries))
    heard_at = max((entry.time for entry in entries), default=spec.submitted_at)
    # A later report or a late sync writes into the journal of a run that has long ended.
    ended_at = heard_at if projection.status == "RUNNING" else projection.ended_at
    return RunFacts(
        status=projection.status,
        step=finished if finished is not None else max((entry.step for entry in logged), default=None),
        target_step=targets[-1] if targets else None,
        loss=logged[-1].values["loss"] if logged else None,
        goodput=total(main).goodput,
        gpu_hours=gpu_hours(attempts, {stage: spec.gpus(stage) for stage in spec.stages}),
        attempts=len(main),
        preemptions=sum(ending in PREEMPTED for ending in endings),
        interruptions=sum(ending not in ("finished", "running") for ending in endings),
        steps_lost=steps_lost(attempts),
        seconds=ended_at - spec.submitted_at,
    )
