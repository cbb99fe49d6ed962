"""The finished parts of a run, by its journal."""

from callbacks.shared import events
from callbacks.shared.events import newest, only
from callbacks.shared.journal import Entry
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import Stage


def finished_parts(entries: list[Entry], stage: Stage) -> set[int]:
    """The parts of a stage that are done. A report counts as done only until another stage finishes after it."""
    finished = only(entries, events.StageFinished)
    if stage == "report":
        others = [index for index, entry in enumerate(finished) if entry.stage != stage]
        finished = finished[others[-1] + 1 :] if others else finished
    return {entry.part for entry in finished if entry.stage == stage}


def parts_left(spec: RunSpec, entries: list[Entry], stage: Stage) -> list[int]:
    """The parts of a stage that are not done."""
    done = finished_parts(entries, stage)
    return [part for part in range(spec.parts(stage)) if part not in done]


def stages_finished(spec: RunSpec, entries: list[Entry]) -> list[Stage]:
    """The stages whose parts are all done."""
    return [stage for stage in spec.stages if not parts_left(spec, entries, stage)]


def finished_step(entries: list[Entry]) -> int | None:
    """The step at which the training finished; None: it has not finished."""
    finished = newest(entries, events.Finished)
    return finished.step if finished else None


def finished_trainings(entries: list[Entry]) -> dict[str, int]:
    """The earlier trainings that have finished: name → optimizer steps of the run until then."""
    return {entry.training: entry.step for entry in only(entries, events.TrainingFinished)}


def steps_before(entries: list[Entry]) -> int:
    """The optimizer steps of the run's finished earlier trainings."""
    return max(finished_trainings(entries).values(), default=0)


def saved_step(entries: list[Entry]) -> int | None:
    """The newest saved step; None: none yet."""
    return max((entry.step for entry in only(entries, events.Saved)), default=None)


def generated_records(entries: list[Entry], part: int) -> int:
    """The number of records of a part of the evaluation whose answers are on disk."""
    return sum(entry.records for entry in only(entries, events.Generated) if entry.part == part)


def reached(entries: list[Entry], stage: Stage, part: int) -> int | None:
    """How much of a stage's work is saved: the newest saved step, or the number of answered records.

    If two attempts end at the same value, the second has gained nothing.
    """
    return generated_records(entries, part) if stage == "evaluate" else saved_step(entries)
