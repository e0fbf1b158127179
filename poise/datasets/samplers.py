"""Orders in which samples are drawn, the same on all processes, each taking its share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence, Sized
from itertools import accumulate, count, islice
from typing import Any

import torch
from torch.utils.data import Sampler

from poise._options import options_of
from poise.datasets.distributed import rank_and_world_size, shared_seed
from poise.datasets.draws import SampleIndex
from poise.datasets.mixtures import CombinedDataset
from poise.datasets.records import Records
from poise.errors import ArgumentError, DataError
from poise.registry import DATA_SAMPLERS

__all__ = ["DefaultSampler", "InfiniteSampler", "MultiSourceSampler", "PictureSampler"]


class _RankSampler(Sampler[int]):
    """What the samplers share: who this process is, and the seed all processes agree on."""

    def __init__(self, dataset: Sized, shuffle: bool, seed: int | None) -> None:
        self.rank, self.world_size = rank_and_world_size()
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed = shared_seed() if seed is None else seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Tell the epoch, on which the order depends."""
        self.epoch = epoch

    def order(self, size: int) -> Sequence[int]:
        """`0 .. size - 1` in the order of this epoch, the same on all processes."""
        if not self.shuffle:
            return range(size)
        generator = torch.Generator()
        generator.manual_seed(self.seed + self.epoch)
        order: list[int] = torch.randperm(size, generator=generator).tolist()
        return order

    def endless(self, size: int, start: int = 0) -> Iterator[SampleIndex]:
        """This process's share of `0 .. size - 1`, over and over, in a new order each time.

        Args:
            size: of what is drawn from.
            start: how many of its draws this process leaves out.
        """
        if not size:
            return iter(())
        first_round, offset = divmod(start * self.world_size + self.rank, size)
        return islice(self._all_endless(size, first_round), offset, None, self.world_size)

    def _all_endless(self, size: int, first_round: int) -> Iterator[SampleIndex]:
        generator = torch.Generator()
        generator.manual_seed(self.seed)
        for number in count():
            order: Sequence[int] = range(size)
            if self.shuffle:
                order = torch.randperm(size, generator=generator).tolist()
            if number >= first_round:
                yield from (SampleIndex(i, number) for i in order)


@DATA_SAMPLERS.register_module(scope="mmengine")
class DefaultSampler(_RankSampler):
    """Each sample once an epoch.

    Args:
        dataset: what to draw from.
        shuffle: whether to draw in random order.
        seed: of the order, equal on all processes; drawn and shared if not given.
        round_up: draw some samples twice so that all processes have equally many (their number
            is then `ceil(len(dataset) / processes)`).
    """

    draws_once = True

    def __init__(
        self,
        dataset: Sized,
        shuffle: bool = True,
        seed: int | None = None,
        round_up: bool = True,
    ) -> None:
        super().__init__(dataset, shuffle, seed)
        self.round_up = round_up
        size = len(dataset)
        if round_up:
            self.num_samples = math.ceil(size / self.world_size)
            self.total_size = self.num_samples * self.world_size
        else:
            self.num_samples = math.ceil((size - self.rank) / self.world_size)
            self.total_size = size

    def __iter__(self) -> Iterator[int]:
        size = len(self.dataset)
        order = self.order(size)
        # the padding starts over with the first ones
        return iter([order[i % size] for i in range(self.rank, self.total_size, self.world_size)])

    def __len__(self) -> int:
        """Samples that this process draws in an epoch."""
        return self.num_samples


@DATA_SAMPLERS.register_module()
class PictureSampler(DefaultSampler):
    """Pictures in random order, the people of each one after another.

    With `LoadImage(keep_decoded=1)` a picture is then decoded once for all its people instead of
    once for each, and decoding is most of what a top-down sample costs. In return the people of a
    picture are in one batch, which makes batches less varied.

    Args:
        dataset: a top-down dataset; people are of one picture where their `img_id` is the same.

    The others are those of `DefaultSampler`.

    Raises:
        ArgumentError: the dataset cannot tell of which picture a sample is.
    """

    @options_of(DefaultSampler, positional=True)
    def __init__(self, dataset: Sized, **options: Any) -> None:
        super().__init__(dataset, **options)
        info = getattr(dataset, "get_data_info", None)
        if info is None:
            raise ArgumentError(
                f"PictureSampler needs a dataset with get_data_info(), which tells of which "
                f"picture a sample is; {type(dataset).__name__} has none; use DefaultSampler"
            )
        records = getattr(dataset, "data_list", None)
        if isinstance(records, Records) and len(records) == len(dataset):
            # whole records cost seconds for a large data set
            pictures = records.values("img_id")
        else:
            pictures = [info(index)["img_id"] for index in range(len(dataset))]
        people: dict[object, list[int]] = {}
        for index, picture in enumerate(pictures):
            people.setdefault(picture, []).append(index)
        self._people = list(people.values())

    def __iter__(self) -> Iterator[int]:
        pictures = self.order(len(self._people))
        order = [index for picture in pictures for index in self._people[picture]]
        # a process takes a stretch, not every n-th: people of a picture stay together
        size = len(self.dataset)
        if self.round_up:
            start = self.rank * self.num_samples
        else:
            start = sum(math.ceil((size - rank) / self.world_size) for rank in range(self.rank))
        return iter([order[i % size] for i in range(start, start + self.num_samples)])


@DATA_SAMPLERS.register_module(scope="mmengine")
class InfiniteSampler(_RankSampler):
    """Samples without end, for training by iterations.

    Args:
        dataset: what to draw from.
        shuffle: whether to draw in random order, a new one each time round.
        seed: of the order, equal on all processes; drawn and shared if not given.
    """

    never_ends = True

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None) -> None:
        super().__init__(dataset, shuffle, seed)
        self.size = len(dataset)
        self.indices = self.endless(self.size)

    def start_at(self, draw: int) -> None:
        """Go on with this process's `draw`-th draw of the run."""
        self.indices = self.endless(self.size, draw)

    def __iter__(self) -> Iterator[int]:
        yield from self.indices

    def __len__(self) -> int:
        """Size of the data set, although there is no end."""
        return self.size

    def __getstate__(self) -> dict[str, object]:
        # a generator cannot be sent to another process; the copy starts anew
        return {k: v for k, v in self.__dict__.items() if k != "indices"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self.indices = self.endless(self.size)


@DATA_SAMPLERS.register_module()
class MultiSourceSampler(_RankSampler):
    """Batches with fixed shares of the parts of a `CombinedDataset`.

    Args:
        dataset: the combined data set.
        batch_size: samples of a batch.
        source_ratio: shares of the parts, 0 for one to leave out; what rounding leaves over goes
            to the first.
        shuffle: whether to draw in random order.
        round_up: make the last batch a full one rather than leaving it out.
        seed: of the order, equal on all processes; drawn and shared if not given.

    Raises:
        ArgumentError: the data set is not combined, or `source_ratio` is no list.
        DataError: the batch size is no positive integer, the shares are not one a part, a part
            with a share has no samples, or its share is less than a sample of a batch.
    """

    def __init__(
        self,
        dataset: Sized,
        batch_size: int,
        source_ratio: list[int | float],
        shuffle: bool = True,
        round_up: bool = True,
        seed: int | None = None,
    ) -> None:
        lens = _check_sources(dataset, batch_size, source_ratio)
        super().__init__(dataset, shuffle, seed)
        self.batch_size = batch_size
        self.source_ratio = source_ratio
        self.round_up = round_up
        self.cumulative_sizes = [0, *accumulate(lens)]
        self.num_samples = math.ceil(len(dataset) / self.world_size)
        self.num_per_source = [int(batch_size * r / sum(source_ratio)) for r in source_ratio]
        self.num_per_source[0] = batch_size - sum(self.num_per_source[1:])
        _check_shares(source_ratio, self.num_per_source, lens, batch_size)
        batches = self.num_samples / batch_size
        self.num_batches = math.ceil(batches) if round_up else int(batches)
        self._lens = lens
        self._start_at(0)

    def set_epoch(self, epoch: int) -> None:
        """Tell the epoch: the orders of the parts go on over epochs, and stand at its first draw.

        A pass that was left early, or a run that is resumed, is made up for.
        """
        super().set_epoch(epoch)
        if self._drawn != epoch * self.num_batches * self.batch_size:
            self._start_at(epoch * self.num_batches)

    def _start_at(self, batch: int) -> None:
        self._drawn = batch * self.batch_size
        self.source2inds = {
            source: self.endless(size, batch * per_batch)
            for source, (size, per_batch) in enumerate(
                zip(self._lens, self.num_per_source, strict=True)
            )
        }

    def __iter__(self) -> Iterator[int]:
        for _ in range(self.num_batches):
            for source, per_batch in enumerate(self.num_per_source):
                start = self.cumulative_sizes[source]
                for index in islice(self.source2inds[source], per_batch):
                    self._drawn += 1
                    yield SampleIndex(start + index, index.draw)

    def __len__(self) -> int:
        """Samples that this process draws in an epoch, before rounding to batches."""
        return self.num_samples


def _check_sources(dataset: Sized, batch_size: int, ratio: object) -> list[int]:
    if not isinstance(dataset, CombinedDataset):
        raise ArgumentError(
            f"MultiSourceSampler: the dataset must be a CombinedDataset, got "
            f"{type(dataset).__name__}"
        )
    if not isinstance(batch_size, int) or batch_size <= 0:
        raise DataError(
            f"MultiSourceSampler: batch_size must be a positive integer, got {batch_size!r}"
        )
    if not isinstance(ratio, list | tuple):
        raise ArgumentError(f"MultiSourceSampler: source_ratio must be a list, got {ratio!r}")
    if len(ratio) != len(dataset.lens):
        raise DataError(
            f"MultiSourceSampler: source_ratio has {len(ratio)} entries, the dataset "
            f"{len(dataset.lens)} parts: {list(ratio)}"
        )
    if min(ratio) < 0 or not sum(ratio) > 0:
        raise DataError(
            f"MultiSourceSampler: source_ratio has shares of 0 or more, not all 0, got {ratio}"
        )
    return dataset.lens


def _check_shares(
    ratio: Sequence[float], per_batch: Sequence[int], lens: Sequence[int], batch_size: int
) -> None:
    """A part that nothing can be drawn from would otherwise be missing without a word."""
    for part, (share, number, size) in enumerate(zip(ratio, per_batch, lens, strict=True)):
        if share > 0 and number == 0:
            raise DataError(
                f"MultiSourceSampler: part {part} has the share {share:g} of {sum(ratio):g}, less "
                f"than a sample of a batch of {batch_size}; use batch_size="
                f"{math.ceil(sum(ratio) / share)} or more, a larger share, or 0 to leave it out"
            )
        if number > 0 and size == 0:
            raise DataError(
                f"MultiSourceSampler: part {part} has no samples, but is to give {number} of a "
                f"batch of {batch_size}; give it the share 0 to leave it out"
            )
