"""Random numbers of the data path from (seed, epoch, sample): the same whoever makes a sample.

Workers come and go, run ahead, and share the samples in their own way; a run that is killed
starts with others. So no generator is carried from sample to sample: the batch sampler says
with each index which draw of it this is, and the generators are seeded before each sample.
"""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, Sampler

__all__ = ["PlacedBatches", "SampleIndex", "SeededItems", "SeededLoader", "seed_of"]

_MASK = (1 << 64) - 1
#: Epochs that fit below the number of the repetition in a draw.
_EPOCHS = 1 << 32


class SampleIndex(int):
    """Number of a sample, and which draw of it this is.

    Args:
        index: number of the sample.
        draw: epoch, or how often the order has been gone through; a number that one index gets
            once in a run.
    """

    draw: int

    def __new__(cls, index: int, draw: int) -> SampleIndex:
        """An int with a `draw`."""
        made = super().__new__(cls, index)
        made.draw = draw
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return SampleIndex, (int(self), self.draw)


def seed_of(seed: int, draw: int, index: int) -> int:
    """64 bits that differ for all (seed, draw, index); neighbours have nothing in common.

    Each number is stirred in by the finaliser of SplitMix64 (Steele et al., OOPSLA 2014).
    """
    state = 0
    for number in (seed, draw, index):
        state = (state + number + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


class PlacedBatches(Sampler[list[int]]):
    """A batch sampler that can start anywhere, and says with each index which draw it is.

    Attributes of the batch sampler (`batch_size`, `drop_last` ...) are those of `batches`.

    Args:
        batches: gives lists of indices.
        sampler: what the order comes from, asked for its `epoch`.
    """

    def __init__(self, batches: Iterable[Sequence[int]], sampler: Any) -> None:
        self.batches = batches
        self.sampler = sampler
        self.start = 0
        self._epoch = 0
        self._placed = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "batches":
            raise AttributeError(name)
        return getattr(self.batches, name)

    def place(self, epoch: int, start: int = 0) -> None:
        """Make the next pass the `epoch`-th one, from its batch `start` on."""
        self._epoch, self.start, self._placed = epoch, start, True
        for sampler in (self.sampler, self.batches):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[int]]:
        # torch asks twice where there are workers: the place stays until another is given
        start = self.start
        if self._placed and getattr(self.sampler, "never_ends", False):
            return self._part_of_endless(start)
        return islice(self._tagged(), start, None)

    def _part_of_endless(self, start: int) -> Iterator[list[int]]:
        """As many batches as an epoch would have, out of an order without end."""
        first = self._epoch * len(self) + start
        if type(self.batches) is BatchSampler:
            self.sampler.start_at(first * self.batches.batch_size)
            first = 0
        else:
            self.sampler.start_at(0)
        return islice(self._tagged(), first, first + len(self) - start)

    def _tagged(self) -> Iterator[list[int]]:
        epoch = getattr(self.sampler, "epoch", self._epoch)
        # a sampler that is not known may draw a sample several times an epoch
        times: Counter[int] = Counter()
        once = getattr(self.sampler, "draws_once", False)
        for batch in self.batches:
            tagged: list[int] = []
            for index in batch:
                if isinstance(index, SampleIndex):
                    tagged.append(index)
                    continue
                repetition = 0 if once else times[index]
                times[index] += not once
                tagged.append(SampleIndex(index, epoch + repetition * _EPOCHS))
            yield tagged

    def __len__(self) -> int:
        """Batches of a whole pass."""
        return len(self.batches)  # type: ignore[arg-type]


class SeededItems(Dataset[Any]):
    """A data set whose samples depend on nothing but the seed and the draw.

    `numpy.random` and `random` are seeded before each sample, torch's generator only where a
    transform or the data set has `draws_from_torch = True`: seeding it costs more than a whole
    light pipeline. In a process that trains, all are put back after the batch.

    Args:
        dataset: gives the samples.
        seed: of the run.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self.torch_too = draws_from_torch(dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Samples of a batch."""
        if torch.utils.data.get_worker_info() is not None:
            return self._items(indices)
        kept = np.random.get_state(), random.getstate()
        kept_torch = torch.get_rng_state() if self.torch_too else None
        try:
            return self._items(indices)
        finally:
            np.random.set_state(kept[0])
            random.setstate(kept[1])
            if kept_torch is not None:
                torch.set_rng_state(kept_torch)

    def _items(self, indices: Sequence[int]) -> list[Any]:
        many = getattr(self.dataset, "__getitems__", None)
        if many is not None:
            # it reads the batch as a whole: what it draws can only depend on the batch
            self._seed(indices[0])
            return list(many([int(i) for i in indices]))
        items = []
        for index in indices:
            self._seed(index)
            items.append(self.dataset[int(index)])
        return items

    def _seed(self, index: int) -> None:
        value = seed_of(self.seed, getattr(index, "draw", 0), int(index))
        np.random.seed(value & 0xFFFFFFFF)
        random.seed(value)
        if self.torch_too:
            torch.default_generator.manual_seed(value & (_MASK >> 1))


def draws_from_torch(part: Any) -> bool:
    """Whether a data set, or a transform in it, says that it draws from torch's generator."""
    if getattr(part, "draws_from_torch", False):
        return True
    inner = [getattr(part, name, None) for name in ("dataset", "pipeline")]
    for name in ("datasets", "transforms"):
        several = getattr(part, name, None)
        inner += several if isinstance(several, list | tuple) else []
    return any(draws_from_torch(p) for p in inner if p is not None)


class SeededLoader(DataLoader[Any]):
    """A torch loader whose samples are the same with any number of workers, from any batch on.

    Args:
        dataset: gives samples by index.
        seed: of the run.
        **settings: of torch's `DataLoader`.
    """

    def __init__(self, dataset: Any, *, seed: int, **settings: Any) -> None:
        # torch draws a seed for the workers at each start of a pass: not from the generator
        # that the training draws from, which a resumed run must find as it was
        own = torch.Generator()
        own.manual_seed(seed_of(seed, 0, 0) & (_MASK >> 1))
        super().__init__(dataset, **{"generator": own, **settings})
        self.seed = seed
        if self.batch_sampler is not None and not isinstance(dataset, IterableDataset):
            inner: Any = self.batch_sampler
            order = getattr(inner, "sampler", self.sampler)
            # torch does not let a loader's sampler be replaced
            self.__dict__["batch_sampler"] = PlacedBatches(inner, order)

    def place(self, epoch: int, start: int = 0) -> None:
        """Make the next pass the `epoch`-th one, from its batch `start` on."""
        # for torch's own RandomSampler, which draws its order from here
        self.generator.manual_seed(seed_of(self.seed, epoch, 0) & (_MASK >> 1))
        batches: Any = self.batch_sampler
        batches.place(epoch, start)

    def _get_iterator(self) -> Any:
        if not isinstance(self.batch_sampler, PlacedBatches):
            return super()._get_iterator()
        # the workers get the seeded view; everybody else sees the data set itself
        own = {name: self.__dict__[name] for name in ("dataset", "worker_init_fn")}
        self.__dict__["dataset"] = SeededItems(self.dataset, self.seed)
        self.__dict__["worker_init_fn"] = partial(_begin, own["worker_init_fn"])
        try:
            return super()._get_iterator()
        finally:
            self.__dict__.update(own)


def _begin(init: Callable[[int], Any] | None, worker_id: int) -> None:
    """What a worker does first: it leaves Ctrl-C to the process that it works for.

    A terminal sends it to all of them. Forked workers have the handler of a training, others
    would end and leave it without the samples of its last batch.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if init is not None:
        init(worker_id)
