"""The order of the training's records: for each epoch it depends on the seed and the epoch alone.

Some samplers draw an epoch's order from the global random number generators (transformers' LengthGroupedSampler), others
count how often they were asked (accelerate's SeedableRandomSampler below Axolotl's packing). A resumed process would draw
another order, and HF would skip the first batches of that one: some records would be trained twice, others never.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import BatchSampler, IterableDataset, RandomSampler, Sampler
from transformers import Trainer

from callbacks.exact.rng import RngState

Epoch = Callable[[], int]
"""The epoch, from 0, whose order is drawn."""


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Seed the generators for a block, and put them back: what the block draws depends on `seed` alone, and changes nothing."""
    before = RngState.now(with_cuda=False)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        before.restore()


class EpochOrder(Sampler[int]):
    """A sampler of single records. For a RandomSampler, the order is that of accelerate's SeedableRandomSampler."""

    def __init__(self, sampler: Any, seed: int, epoch: Epoch) -> None:
        self._sampler, self._seed, self._epoch = sampler, seed, epoch

    def __len__(self) -> int:
        return len(self._sampler)

    def __iter__(self) -> Iterator[int]:
        seed = self._seed + self._epoch()
        if isinstance(self._sampler, RandomSampler):
            self._sampler.generator = torch.Generator().manual_seed(seed)
        with drawn_from(seed):
            order = list(self._sampler)
        yield from order


class EpochBatches(BatchSampler):
    """A sampler of whole batches, such as Axolotl's packing, over an EpochOrder.

    Each epoch has the same number of batches. The packing of another order may give some more, which are left out, or some
    less: then the epoch's first batches come again, since a training that ends before its target step has not finished.
    """

    def __init__(self, batches: Any, seed: int, epoch: Epoch) -> None:
        self._batches, self._epoch = batches, epoch
        self._count = len(batches)
        self.batch_size, self.drop_last = batches.batch_size, batches.drop_last
        self.sampler = batches.sampler = EpochOrder(batches.sampler, seed, epoch)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[Any]]:
        if hasattr(self._batches, "set_epoch"):
            self._batches.set_epoch(self._epoch())  # else it may return what it packed for another epoch
        found = list(self._batches)
        yield from (found + found[: self._count - len(found)])[: self._count]


class EpochStream(IterableDataset):  # type: ignore[type-arg]
    """A stream of records that has random numbers of its own: what it draws depends on the seed and the epoch alone.

    A resumed process reads the stream from the epoch's begin, so that buffers which shuffle have the same content again.
    """

    def __init__(self, records: Any, seed: int, epoch: Epoch) -> None:
        self._records, self._seed, self._epoch = records, seed, epoch

    def __getattr__(self, name: str) -> Any:
        """What else is asked of the stream. A method that returns another stream (`remove_columns`) returns one of this class."""
        if name.startswith("__") or name == "_records":
            raise AttributeError(name)
        found = getattr(self._records, name)
        return self._stays_own(found) if callable(found) else found

    def _stays_own(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            result = method(*arguments, **named)
            return EpochStream(result, self._seed, self._epoch) if isinstance(result, IterableDataset) else result

        return call

    def __iter__(self) -> Iterator[Any]:
        with drawn_from(self._seed + self._epoch()):
            records, own = iter(self._records), RngState.now(with_cuda=False)
        while True:
            others = RngState.now(with_cuda=False)
            own.restore()
            try:
                record = next(records)
            except StopIteration:
                return
            finally:
                own = RngState.now(with_cuda=False)
                others.restore()
            yield record


def own_order(trainer: Trainer, epoch: Epoch) -> None:
    """Let the trainer draw the order of its training records from its seed and the epoch."""
    make = trainer._get_train_sampler
    seed = trainer.args.seed if trainer.args.data_seed is None else trainer.args.data_seed

    def own_sampler(*arguments: Any, **named: Any) -> Any:
        with drawn_from(seed):  # packing draws already here, to count its batches
            sampler = make(*arguments, **named)
        if sampler is None:
            return None
        return (EpochBatches if isinstance(sampler, BatchSampler) else EpochOrder)(sampler, seed, epoch)

    trainer._get_train_sampler = own_sampler
    if isinstance(trainer.train_dataset, IterableDataset):
        trainer.train_dataset = EpochStream(trainer.train_dataset, seed, epoch)
