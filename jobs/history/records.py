"""Whether a training took the records that an undisturbed one would have taken, by the ledgers of its ranks."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from callbacks.shared.ledger_file import RECORDS, History, Step, history, ledgers, read_ledger

SHOWN = 5
"""The number of records or steps that a sentence names."""


@dataclass(frozen=True)
class EpochRecords:
    """How often the records of the data set were trained in one epoch."""

    epoch: int
    """From 0."""
    taken: int
    """Records in the epoch's steps, over all ranks."""
    repeated: tuple[int, ...]
    """Records that were trained more often than the data set has them; counted from 1."""
    missing: int
    """Records that were not trained in this epoch. In the last epoch, their turn may not have come."""

    def problem(self) -> str:
        """What is wrong; empty: nothing is.

        The end of an epoch may leave records out, if they do not fill a batch, or repeat some to fill it; never both.
        """
        if not self.repeated or not self.missing:
            return ""
        count = len(self.repeated)
        return (
            f"epoch {self.epoch + 1}: {count:,} records were trained more than once ({shown(self.repeated)}), "
            f"and {self.missing:,} not at all"
        )


@dataclass(frozen=True)
class TrainedRecords:
    """What the ledgers of a training say."""

    steps: int
    """The last step; 0: there is no ledger."""
    ranks: int
    redone: int
    """Steps that were done again, with the same records."""
    problems: tuple[str, ...]
    """Sentences; empty: the training took what an undisturbed one would have taken, as far as the ledgers tell."""
    records: int | None
    """The number of training records; None: the training has not noted them (`regrow.audit`)."""
    epochs: tuple[EpochRecords, ...] = ()

    def sentence(self) -> str:
        """What the ledgers show if nothing is wrong; empty: there is no ledger, or something is wrong."""
        if not self.steps or self.problems:
            return ""
        again = ", and steps that were done again took the same records" if self.redone else ""
        counted = " In each epoch, every record was trained at most once." if self._counts_each_once() else ""
        return f"The ledger has every step{again}.{counted}"

    def _counts_each_once(self) -> bool:
        return bool(self.epochs) and not any(epoch.repeated for epoch in self.epochs)


def trained_records(output_dir: Path) -> TrainedRecords:
    """Read the ledgers of a training, finished or not."""
    of_ranks = [history(read_ledger(path)) for path in ledgers(output_dir)]
    if not any(rank.steps for rank in of_ranks):
        return TrainedRecords(0, 0, 0, (), None)
    problems = [*_gaps(of_ranks), *_differences(of_ranks)]
    listed = output_dir / RECORDS
    ids = listed.read_text(encoding="utf-8").split() if listed.exists() else None
    epochs = _epochs(of_ranks, ids) if ids else ()
    return TrainedRecords(
        steps=max(of_ranks[0].steps),
        ranks=len(of_ranks),
        redone=len(of_ranks[0].redone) - len(of_ranks[0].different),
        problems=(*problems, *filter(None, (epoch.problem() for epoch in epochs))),
        records=len(ids) if ids else None,
        epochs=epochs,
    )


def _gaps(of_ranks: Sequence[History]) -> Iterable[str]:
    """Steps that a rank does not have, though it took part in them."""
    first = of_ranks[0]
    for rank, found in enumerate(of_ranks):
        expected = range(1, max(first.steps) + 1)
        if missing := [step for step in expected if rank < first.ranks.get(step, 1) and step not in found.steps]:
            yield f"rank {rank}: the ledger lacks step {shown(missing)}"


def _differences(of_ranks: Sequence[History]) -> Iterable[str]:
    for rank, found in enumerate(of_ranks):
        if found.different:
            yield f"rank {rank}: step {shown(found.different)} took other records when it was done again"


def _epochs(of_ranks: Sequence[History], ids: Sequence[str]) -> tuple[EpochRecords, ...]:
    """Count the records of each epoch that was trained as a whole with the newest config: the list of records is of that one."""
    config = of_ranks[0].configs[max(of_ranks[0].steps)]
    steps: dict[int, list[Step]] = defaultdict(list)
    others = set()
    for found in of_ranks:
        for number, step in found.steps.items():
            steps[step.epoch].append(step)
            if found.configs[number] != config or step.records is None:
                others.add(step.epoch)
    numbers: dict[str, int] = {}
    for number, each in enumerate(ids, start=1):
        numbers.setdefault(each, number)
    has = Counter(ids)
    return tuple(_epoch(epoch, steps[epoch], has, numbers) for epoch in sorted(steps) if epoch not in others)


def _epoch(epoch: int, steps: Iterable[Step], has: Mapping[str, int], numbers: Mapping[str, int]) -> EpochRecords:
    taken = Counter(each for step in steps for each in step.records or ())
    repeated = sorted(numbers.get(each, 0) for each, count in taken.items() if count > has.get(each, 0))
    missing = sum(max(0, count - taken[each]) for each, count in has.items())
    return EpochRecords(epoch, taken.total(), tuple(repeated), missing)


def shown(numbers: Sequence[int]) -> str:
    """Numbers as a short text: runs as `7 to 9`, and how many more there are."""
    if not numbers:
        return ""
    ordered = sorted(set(numbers))
    starts = [ordered[0], *(after for before, after in pairwise(ordered) if after != before + 1)]
    ends = [*(before for before, after in pairwise(ordered) if after != before + 1), ordered[-1]]
    runs = [str(start) if start == end else f"{start} to {end}" for start, end in zip(starts, ends, strict=True)]
    return ", ".join(runs[:SHOWN]) + (f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else "")
