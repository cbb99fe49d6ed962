"""An epoch's order depends on the seed and the epoch alone, whatever else drew random numbers before."""

from collections.abc import Iterator
from typing import Any

import torch
from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import BatchSampler, IterableDataset, RandomSampler
from transformers.trainer_pt_utils import LengthGroupedSampler

from callbacks.exact.record_order import EpochBatches, EpochOrder, EpochStream

LENGTHS = [7 * number % 30 + 1 for number in range(50)]


class Counted:
    """An epoch that a test sets."""

    def __init__(self) -> None:
        self.epoch = 0

    def __call__(self) -> int:
        return self.epoch


class Packs(BatchSampler):
    """As Axolotl's packing: it keeps what it packed until it is told the epoch, and some epochs give fewer batches."""

    def __init__(self, sampler: Any, missing: int) -> None:
        super().__init__(sampler, 1, True)
        self.packed: list[list[int]] | None = None
        self.missing = missing

    def set_epoch(self, epoch: int) -> None:
        self.packed = None

    def __len__(self) -> int:
        return 10

    def __iter__(self) -> Iterator[list[int]]:
        if self.packed is None:
            order = list(self.sampler)
            self.packed = [order[start : start + 5] for start in range(0, 50 - 5 * self.missing, 5)]
        return iter(self.packed)


def test_random_order_is_that_of_accelerate() -> None:
    theirs = SeedableRandomSampler(RandomSampler(range(50)).data_source, data_seed=7)
    for epoch in range(3):
        theirs.set_epoch(epoch)
        assert list(EpochOrder(RandomSampler(range(50)), 7, lambda epoch=epoch: epoch)) == list(theirs)


def test_grouped_order_is_the_same_in_another_process_that_drew_other_numbers() -> None:
    epoch = Counted()
    order = EpochOrder(LengthGroupedSampler(4, lengths=LENGTHS), 7, epoch)
    first = list(order)
    epoch.epoch = 1
    second = list(order)
    torch.rand(13)
    resumed = EpochOrder(LengthGroupedSampler(4, lengths=LENGTHS), 7, lambda: 1)
    assert list(resumed) == second != first
    assert sorted(second) == list(range(50))


def test_order_leaves_the_random_numbers_of_the_training_alone() -> None:
    torch.manual_seed(3)
    undisturbed = torch.rand(2)
    torch.manual_seed(3)
    kept = torch.rand(1)
    list(EpochOrder(LengthGroupedSampler(4, lengths=LENGTHS), 7, lambda: 0))
    assert torch.equal(torch.cat([kept, torch.rand(1)]), undisturbed)


def test_batches_are_packed_anew_for_each_epoch_and_none_is_missing() -> None:
    epoch = Counted()
    batches = EpochBatches(Packs(RandomSampler(range(50)), missing=0), 7, epoch)
    first = list(batches)
    epoch.epoch = 1
    assert list(batches) != first
    epoch.epoch = 0
    assert list(batches) == first
    short = list(EpochBatches(Packs(RandomSampler(range(50)), missing=2), 7, epoch))
    assert short == [*first[:8], *first[:2]]


class Stream(IterableDataset[float]):
    """Records that are drawn while they are read."""

    column_names = ("text",)

    def __iter__(self) -> Iterator[float]:
        yield from (torch.rand(1).item() for _ in range(5))

    def remove_columns(self, names: list[str]) -> "Stream":
        return self


def test_stream_draws_its_own_random_numbers() -> None:
    whole = list(EpochStream(Stream(), 7, lambda: 0))
    torch.manual_seed(3)
    undisturbed = torch.rand(3)
    torch.manual_seed(3)
    between = []
    for record, _ in zip(
        reading := iter(EpochStream(Stream(), 7, lambda: 0).remove_columns(["x"])), range(3), strict=False
    ):
        between.append((record, torch.rand(1).item()))
    assert [record for record, _ in between] == whole[:3]
    assert [drawn for _, drawn in between] == undisturbed.tolist()
    assert list(reading) == whole[4:]
    assert list(EpochStream(Stream(), 7, lambda: 1)) != whole
