"""What is drawn for a sample depends on seed, epoch and number, and on nothing else."""

import pickle
import random

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from poise.datasets.draws import SampleIndex, draws_from_torch, seed_of
from poise.datasets.loader import build_dataloader


class Draws(Dataset):
    """Each sample: its number, and a draw from each generator; 3 is drawn again."""

    draws_from_torch = True

    def __len__(self):
        return 10

    def __getitem__(self, index):
        drawn = np.random.rand(), random.random()
        if index == 3:
            drawn = np.random.rand(), random.random()
        return {"x": (index, *drawn, float(torch.rand(())))}


def loader(workers=0, sampler="DefaultSampler", seed=1, dataset=None, **settings):
    return build_dataloader(
        {
            "dataset": dataset or Draws(),
            "batch_size": 3,
            "num_workers": workers,
            "sampler": {"type": sampler, "shuffle": True},
            **settings,
        },
        seed=seed,
    )


def epoch_of(data, epoch, start=0):
    data.place(epoch, start)
    return [list(map(tuple, zip(*b["x"], strict=True))) for b in data]


@pytest.mark.parametrize("sampler", ["DefaultSampler", "InfiniteSampler"])
@pytest.mark.parametrize("persistent", [False, True])
def test_any_number_of_workers_draws_the_same(sampler, persistent):
    alone, several = (loader(n, sampler, persistent_workers=persistent) for n in (0, 2))
    for epoch in (0, 1, 4):
        assert epoch_of(alone, epoch) == epoch_of(several, epoch)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("sampler", ["DefaultSampler", "InfiniteSampler"])
def test_a_pass_can_start_at_any_batch(sampler, workers):
    data = loader(workers, sampler, persistent_workers=True)
    whole = epoch_of(data, 2)
    assert len(whole) == len(data) == 4
    for start in (1, 3, 4):
        assert epoch_of(data, 2, start) == whole[start:]
    assert epoch_of(data, 2) == whole


def test_torchs_own_shuffle_can_start_at_any_batch():
    data = build_dataloader({"dataset": Draws(), "batch_size": 3, "shuffle": True}, seed=4)
    whole = epoch_of(data, 1)
    assert epoch_of(data, 1, 2) == whole[2:]
    assert epoch_of(data, 0) != whole


def test_epochs_seeds_and_samples_draw_differently():
    drawn = []
    for seed in (1, 2):
        data = loader(seed=seed)
        drawn += [x for epoch in (0, 1) for batch in epoch_of(data, epoch) for x in batch]
    for column in (1, 2, 3):
        assert len({row[column] for row in drawn}) == 40
    assert len({seed_of(s, e, i) for s in range(9) for e in range(9) for i in range(99)}) == 8019


def test_a_sample_that_is_drawn_twice_an_epoch_differs():
    class Twice(torch.utils.data.Sampler):
        def __iter__(self):
            return iter([5, 5, 6, 5])

        def __len__(self):
            return 4

    data = build_dataloader({"dataset": Draws(), "batch_size": 2, "sampler": Twice()}, seed=1)
    rows = [row for batch in epoch_of(data, 0) for row in batch]
    assert len({row[1] for row in rows}) == 4


def test_the_generators_of_the_training_process_are_left_alone():
    np.random.seed(0), random.seed(0), torch.manual_seed(0)
    expected = np.random.rand(), random.random(), float(torch.rand(()))
    np.random.seed(0), random.seed(0), torch.manual_seed(0)
    epoch_of(loader(), 0)
    assert (np.random.rand(), random.random(), float(torch.rand(()))) == expected


def test_torch_is_seeded_only_where_that_is_declared():
    class Inner:
        draws_from_torch = True

    class Pipeline:
        transforms = [object(), Inner()]

    class Holder:
        pipeline = Pipeline()

    class Mixture:
        datasets = [object(), Holder()]

    assert draws_from_torch(Mixture())
    assert not draws_from_torch(Pipeline.transforms[0])


def test_an_index_is_sent_with_its_draw():
    again = pickle.loads(pickle.dumps(SampleIndex(7, 3)))
    assert (again, again.draw, type(again)) == (7, 3, SampleIndex)
    assert [10, 11, 12][SampleIndex(1, 0)] == 11


def test_the_data_set_of_a_loader_is_the_one_that_was_given():
    dataset = Draws()
    data = loader(2, dataset=dataset, persistent_workers=True)
    next(iter(data))
    assert data.dataset is dataset
    assert (data.batch_sampler.batch_size, data.batch_size, len(data.sampler)) == (3, 3, 10)


def test_mixtures_with_shares_start_anywhere(coco, person, schema):
    from poise.datasets.mixtures import CombinedDataset

    def make():
        parts = [coco([person(i) for i in range(1, n + 1)]) for n in (6, 3)]
        mixed = CombinedDataset(schema(), parts, sample_ratio_factor=[0.5, 2])
        mixed.pipeline = lambda results: {"x": (results["id"], np.random.rand())}
        sampler = {"type": "MultiSourceSampler", "batch_size": 2, "source_ratio": [1, 1]}
        return build_dataloader({"dataset": mixed, "batch_size": 2, "sampler": sampler}, seed=3)

    through = make()
    epochs = [epoch_of(through, e) for e in range(3)]
    resumed = make()
    assert epoch_of(resumed, 2, 1) == epochs[2][1:]
    rows = [x[1] for epoch in epochs for batch in epoch for x in batch]
    assert len(set(rows)) == len(rows)
