"""What each piece of a training costs, in seconds: measured in the journal of a run, or given. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean, median
from typing import Any

from callbacks.shared import events
from callbacks.shared.events import newest, only
from callbacks.shared.journal import Entry
from jobs.history.time_spent import AttemptTimes
from jobs.spec.run_spec import RunSpec

FINISHED = "finished"


@dataclass(frozen=True)
class Costs:
    """A training's length and the seconds of its pieces."""

    steps: int
    """Optimizer steps in all."""
    step: float
    start: float
    """From the start of the job to the first step: imports, model, data, checkpoint."""
    save: float = 0.0
    evaluation: float = 0.0
    leave: float = 0.0
    """From the end of the last step, and of the save at a stop, to the end of the job."""
    save_steps: int = 0
    """Steps between two saves; 0: only stops and the end save."""
    eval_steps: int = 0
    """Steps between two evaluations; 0: none."""
    eval_on_start: bool = False
    """Whether it evaluates before its first step."""

    def with_given(self, **given: Any) -> "Costs":
        """These costs, with those that are not None in their place."""
        return replace(self, **{key: value for key, value in given.items() if value is not None})


def measured_costs(entries: list[Entry], attempts: Sequence[AttemptTimes]) -> Costs | None:
    """The costs that a run's journal shows; None: no attempt has logged two steps."""
    trained = [each for each in attempts if each.stage == "train" and each.first_step is not None]
    began = newest(entries, events.TrainingBegan)
    steps = sum((each.last_step or 0) - (each.first_step or 0) for each in trained)
    seconds = sum(each.spent.productive + each.spent.replayed for each in trained)
    if not began or steps < 2 or seconds <= 0:
        return None
    saves, evaluations = only(entries, events.Saved), _evaluations(entries)
    left = [each.spent.leaving for each in trained if each.ending != FINISHED] or [
        each.spent.leaving for each in trained
    ]
    return Costs(
        steps=began.target_step,
        step=seconds / steps,
        start=median(each.spent.starting for each in trained),
        save=median(entry.seconds for entry in saves) if saves else 0.0,
        evaluation=mean(evaluations) if evaluations else 0.0,
        leave=median(left),
    )


def _evaluations(entries: list[Entry]) -> list[float]:
    """The seconds of each evaluation, with its generation."""
    found: dict[tuple[str, int], float] = {}
    for entry in only(entries, events.Metrics):
        seconds = entry.values.get("eval_runtime", 0.0) + entry.values.get("gen_seconds", 0.0)
        if seconds:
            key = entry.writer, entry.step
            found[key] = found.get(key, 0.0) + seconds
    return list(found.values())


def intervals(spec: RunSpec, steps: int) -> dict[str, Any]:
    """When a config saves and evaluates: `save_steps`, `eval_steps` and `eval_on_start`, as in Costs.

    A number below 1 is a share of all steps.
    """
    found: dict[str, Any] = {"eval_on_start": bool(spec.axolotl.get("eval_on_start"))}
    for key, other in (("save_steps", "save_strategy"), ("eval_steps", "eval_strategy")):
        value = spec.axolotl.get(key) or 0
        is_off = spec.axolotl.get(other) in ("no", False)
        found[key] = 0 if is_off else max(1, round(value * steps)) if 0 < value < 1 else int(value)
    return found


def queue_waits(attempts: Sequence[AttemptTimes]) -> list[float]:
    """How long each attempt of the training after the first one waited."""
    trained = [each for each in attempts if each.stage == "train"]
    return [each.spent.queued for each in trained[1:]]
