"""Trains a run's first steps a second time, on this machine: the same YAML, seed and records give the same result."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry, metric_rows, read_journal
from callbacks.shared.ledger_file import history, ledgers, read_ledger
from jobs.evaluation.training_facts import training_facts
from jobs.history.progress import finished_step
from jobs.spec.run_spec import RunSpec, write_run
from jobs.submit.pipeline import login_journal, run_locally

LOSS = "loss"


class _Enough(Exception):
    """The wanted steps are done."""


def train_again(spec: RunSpec, steps: int, follow: Callable[[list[Entry]], None]) -> events.TrainedAgain:
    """Train the run again until a step, compare, and note the result in the run's journal.

    Args:
        steps: at least so many; if this is the whole training, the final weights are compared too.
        follow: gets the new entries of the second training.

    Returns:
        The event; its `differences` are sentences, and empty if both trainings are the same.
    """
    folder = spec.paths.run_dir / "again"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        again = _copy(spec, folder)
        write_run(again)
        if spec.paths.code.exists():
            shutil.copytree(spec.paths.code, again.paths.code)
        finished = finished_step(read_journal(spec.paths.journal))
        code = _run(again, steps, finished is not None and steps >= finished, follow)
        found = _compared(spec, again, steps, code)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return login_journal(spec).write(found)


def _copy(spec: RunSpec, folder: Path) -> RunSpec:
    """The same training as a run of its own on this machine, below `folder`, which posts to a database that is thrown away."""
    old, new = str(spec.paths.run_dir), str(folder / spec.name)
    content = _moved(spec.model_dump(mode="json"), old, new)
    content["profile"] |= {
        "executor": "local",
        "runs_root": str(folder),
        "tracking_uri": f"sqlite:///{folder}/mlflow.db",
    }
    stages = tuple(stage for stage in spec.stages if stage in ("prepare", "train"))
    return RunSpec.model_validate(content | {"run_uuid": uuid.uuid4().hex, "site": None, "stages": stages})


def _moved(value: Any, old: str, new: str) -> Any:
    """A value with other paths below the run folder."""
    if isinstance(value, dict):
        return {key: _moved(each, old, new) for key, each in value.items()}
    if isinstance(value, list):
        return [_moved(each, old, new) for each in value]
    return new + value[len(old) :] if isinstance(value, str) and f"{value}/".startswith(f"{old}/") else value


def _run(spec: RunSpec, steps: int, is_whole: bool, follow: Callable[[list[Entry]], None]) -> int:
    """The exit code of the second training. `is_whole`: let it come to its own end."""

    def look(entries: list[Entry]) -> None:
        follow(entries)
        if not is_whole and any(
            entry.step >= steps and LOSS in entry.values for entry in only(entries, events.Metrics)
        ):
            raise _Enough

    try:
        return run_locally(spec, spec.stages, look)
    except _Enough:  # the training has saved and left
        return 0


def _compared(spec: RunSpec, again: RunSpec, steps: int, code: int) -> events.TrainedAgain:
    first, second = (read_journal(each.paths.journal) for each in (spec, again))
    losses = [
        {step: values[LOSS] for step, values in metric_rows(entries).items() if LOSS in values}
        for entries in (first, second)
    ]
    both = sorted(losses[0].keys() & losses[1].keys())
    differences = list(_differences(losses, both, spec, again))
    if code or not both:
        differences.append(
            "the second training failed; its log was in the run folder" if code else "no step was logged"
        )
    has_weights = finished_step(first) is not None and finished_step(first) == finished_step(second)
    if has_weights and training_facts(spec).adapter != training_facts(again).adapter:
        differences.append("the final weights differ")
    return events.TrainedAgain(
        steps=max(both, default=0), losses=len(both), has_weights=has_weights, differences=differences
    )


def _differences(losses: list[dict[int, float]], both: list[int], spec: RunSpec, again: RunSpec) -> Iterator[str]:
    if other := [step for step in both if losses[0][step] != losses[1][step]]:
        first = other[0]
        yield f"the losses differ from step {first:,} on: {losses[0][first]!r} and {losses[1][first]!r}"
    for one, two in zip(ledgers(spec.paths.checkpoints), ledgers(again.paths.checkpoints), strict=False):
        steps = [history(read_ledger(path)).steps for path in (one, two)]
        shared = sorted(steps[0].keys() & steps[1].keys())
        if wrong := [step for step in shared if steps[0][step].value != steps[1][step].value]:
            yield f"{one.stem}: step {wrong[0]:,} takes other records"
