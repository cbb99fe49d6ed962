"""Facts about a run's training, by its journal: whether it finished, its speed, its memory."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard

from callbacks.shared import events
from callbacks.shared.events import newest, only
from callbacks.shared.journal import Entry, read_journal
from jobs.history.progress import finished_step
from jobs.spec.run_spec import RunSpec

PLACES = ("output_dir", "dataset_prepared_path", "auto_resume_from_checkpoints")
"""Keys of the resolved config that name places; they do not change the result."""

LOGGED = (events.Metrics, events.Saved)


@dataclass(frozen=True)
class TrainingFacts:
    """One run's training, over all its attempts."""

    run_uuid: str
    has_trained: bool
    finished_step: int | None
    has_failed: bool
    """The training has failed; only `regrow resume` brings it back."""
    world_size: int | None
    steps_per_second: float | None
    """Computed from neighbouring logs with only training between them, so without evaluations, saves at a stop and queues."""
    tokens_per_second: float | None
    """Of all ranks together, padding included (Axolotl's `tokens/total`)."""
    peak_memory_gib: float | None
    """Peak memory of one GPU; None: there is no GPU."""
    gpu: str | None
    """The GPU's name by the profile; None: the profile names none."""
    config: str
    """Digest of the resolved config; runs of the same YAML and seed have the same digest."""
    adapter: str | None
    """Digest of the final weights; None: there are none."""
    again: events.TrainedAgain | None = None
    """What `regrow verify --again` has found; None: it was not typed."""


def training_facts(spec: RunSpec) -> TrainingFacts:
    """Read a run's journal and its final weights."""
    entries = read_journal(spec.paths.journal)
    sizes = [entry.world_size for entry in only(entries, events.RanksStarted)]
    peaks = [entry.values.get("memory/max_allocated_GiB") for entry in only(entries, events.Metrics)]
    return TrainingFacts(
        run_uuid=spec.run_uuid,
        has_trained=bool(sizes),
        finished_step=finished_step(entries),
        has_failed=any(entry.stage == "train" for entry in only(entries, events.StageFailed)),
        world_size=sizes[-1] if sizes else None,
        steps_per_second=_rate(entries, lambda entry: entry.step),
        tokens_per_second=_rate(entries, lambda entry: entry.values.get("tokens/total", 0.0)),
        peak_memory_gib=max(filter(None, peaks), default=None),
        gpu=spec.profile.gpu.name if spec.profile.gpu else None,
        config=_config_digest(spec),
        adapter=_weights_digest(spec) if sizes else None,
        again=newest(entries, events.TrainedAgain),
    )


def _rate(entries: list[Entry], amount: Callable[[events.Metrics], float]) -> float | None:
    """How much an amount grew per second, over a process's neighbouring logs with only training between them; None: no data."""
    grown = seconds = 0.0
    for writer in dict.fromkeys(entry.writer for entry in only(entries, events.TrainingBegan)):
        mine = [entry for entry in entries if entry.writer == writer and isinstance(entry, LOGGED)]
        for before, after in pairwise(mine):
            if _has_loss(before) and _has_loss(after):
                grown += amount(after) - amount(before)
                seconds += after.time - before.time
    return grown / seconds if grown > 0 and seconds > 0 else None


def _has_loss(entry: Entry) -> TypeGuard[events.Metrics]:
    return isinstance(entry, events.Metrics) and "loss" in entry.values


def _config_digest(spec: RunSpec) -> str:
    what = {key: value for key, value in spec.axolotl.items() if key not in PLACES}
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _weights_digest(spec: RunSpec) -> str | None:
    digest, files = hashlib.sha256(), sorted(spec.paths.checkpoints.glob("*.safetensors"))
    for path in files:
        with path.open("rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest() if files else None
