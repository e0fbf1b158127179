"""Loaders from MMPose's dataloader configs."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch

from poise.datasets import (
    ConcatDataset,
    RepeatDataset,
    build_dataloader,
    build_dataset,
    default_collate,
    pseudo_collate,
    worker_init_fn,
)
from poise.errors import ConfigError, DataError, UnknownNameError
from poise.structures import InstanceData


@pytest.fixture
def cfg(write: Any, person: Any, schema: Any) -> dict[str, Any]:
    """Config of a data set of five people."""
    path = write([person(i) for i in range(1, 6)])
    return {"type": "CocoDataset", "ann_file": path, "metainfo": schema()}


def test_a_loader_gives_batches_as_dicts_of_lists(cfg: dict[str, Any]) -> None:
    loader = build_dataloader(
        {
            "batch_size": 2,
            "num_workers": 0,
            "persistent_workers": True,
            "drop_last": False,
            "sampler": {"type": "DefaultSampler", "shuffle": False, "round_up": False},
            "dataset": cfg,
        }
    )
    batches = list(loader)
    assert [b["id"] for b in batches] == [[1, 2], [3, 4], [5]]
    assert isinstance(batches[0]["bbox"], list)


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_of_an_epoch_can_be_limited(cfg: dict[str, Any], shuffle: bool) -> None:
    """As MMEngine does it, with the first samples: a short look at a long training."""
    sampler = {"type": "DefaultSampler", "shuffle": shuffle}
    settings = {"batch_size": 2, "num_batch_per_epoch": 2, "sampler": sampler, "dataset": cfg}
    loader = build_dataloader(settings, seed=1)
    assert len(loader) == 2
    assert sorted(i for b in loader for i in b["id"]) == [1, 2, 3, 4]
    # a data set that has fewer is whole
    assert len(build_dataloader({**settings, "num_batch_per_epoch": 9}, seed=1)) == 3
    assert loader.dataset.metainfo["dataset_name"]


def test_workers_give_the_same_batches_in_the_same_order(cfg: dict[str, Any]) -> None:
    settings = {
        "batch_size": 2,
        "sampler": {"type": "DefaultSampler", "shuffle": True},
        # the data set itself cannot go back through the queue with its pipeline
        "dataset": {**cfg, "pipeline": [_without_dataset]},
    }
    alone = [b["id"] for b in build_dataloader({**settings, "num_workers": 0}, seed=3)]
    shared = [b["id"] for b in build_dataloader({**settings, "num_workers": 1}, seed=3)]
    assert alone == shared


def _without_dataset(results: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in results.items() if k != "dataset"}


def test_the_seed_decides_the_order(cfg: dict[str, Any]) -> None:
    settings = {"batch_size": 5, "sampler": {"type": "DefaultSampler"}, "dataset": cfg}
    orders = {tuple(next(iter(build_dataloader(settings, seed=s)))["id"]) for s in range(6)}
    assert len(orders) > 2


def test_a_loader_without_data_set_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs `dataset`, this one has: batch_size"):
        build_dataloader({"batch_size": 1})


def test_an_unknown_collate_function_is_refused(cfg: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"`collate_fn` names 'nope'.*pseudo_collate"):
        build_dataloader({"dataset": cfg, "collate_fn": {"type": "nope"}})


def test_collate_functions_are_found_by_name(cfg: dict[str, Any]) -> None:
    cfg = {**cfg, "pipeline": [lambda r: {"bbox": r["bbox"], "id": r["id"]}]}
    settings = {"dataset": cfg, "batch_size": 5, "collate_fn": {"type": "default_collate"}}
    batch = next(iter(build_dataloader(settings)))
    assert batch["bbox"].shape == (5, 1, 4)


def test_a_built_data_set_is_taken_as_it_is(cfg: dict[str, Any]) -> None:
    dataset = build_dataset(cfg)
    assert build_dataset(dataset) is dataset
    assert build_dataloader({"dataset": dataset}).dataset is dataset


def test_lists_of_configs_and_files_are_concatenated(cfg: dict[str, Any]) -> None:
    assert len(build_dataset([cfg, cfg])) == 10
    both = build_dataset({**cfg, "ann_file": [cfg["ann_file"]] * 2})
    assert isinstance(both, ConcatDataset)
    assert len(both) == 10


def test_default_arguments_reach_the_parts(cfg: dict[str, Any]) -> None:
    repeated = build_dataset(
        {"type": "RepeatDataset", "dataset": cfg, "times": 2}, {"test_mode": True}
    )
    assert isinstance(repeated, RepeatDataset)
    assert repeated.dataset.test_mode
    parts = build_dataset({"type": "ConcatDataset", "datasets": [cfg]}, {"test_mode": True})
    assert parts.datasets[0].test_mode


def test_an_unknown_data_set_is_suggested(cfg: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError, match="CocoDataset"):
        build_dataset({**cfg, "type": "CocoDatset"})


def test_workers_are_seeded_apart() -> None:
    drawn = set()
    for rank in (0, 1):
        for worker in (0, 1):
            worker_init_fn(worker, num_workers=2, rank=rank, seed=7)
            drawn.add((np.random.randint(1 << 30), int(torch.randint(1 << 30, ()))))
    assert len(drawn) == 4
    worker_init_fn(1, num_workers=2, rank=1, seed=7)
    expected = np.random.RandomState(10).randint(1 << 30)
    assert np.random.randint(1 << 30) == expected


Pair = namedtuple("Pair", "x y")


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([1, 2], [1, 2]),
        (["a", "b"], ["a", "b"]),
        (
            [{"x": 1, "y": {"z": "a"}}, {"x": 2, "y": {"z": "b"}}],
            {"x": [1, 2], "y": {"z": ["a", "b"]}},
        ),
        ([(1, "a"), (2, "b")], [[1, 2], ["a", "b"]]),
        ([[1, 2], [3, 4]], [[1, 3], [2, 4]]),
        ([Pair(1, 2), Pair(3, 4)], Pair([1, 3], [2, 4])),
        ([range(2), range(2)], [[0, 0], [1, 1]]),
    ],
)
def test_pseudo_collate_keeps_the_form(samples: Any, expected: Any) -> None:
    assert pseudo_collate(samples) == expected


def test_samples_that_lack_a_key_are_told() -> None:
    with pytest.raises(DataError, match="one has no `a`, which the first one has"):
        pseudo_collate([{"a": 1}, {"b": 2}])


def test_a_loader_needs_a_data_set() -> None:
    with pytest.raises(ConfigError, match="`dataset` is None; give its config"):
        build_dataloader({"dataset": None})


def test_pseudo_collate_stacks_nothing() -> None:
    batch = pseudo_collate([{"inputs": torch.zeros(3, n, n)} for n in (4, 5)])
    assert [tuple(t.shape) for t in batch["inputs"]] == [(3, 4, 4), (3, 5, 5)]


def test_default_collate_stacks_arrays_but_not_data_samples() -> None:
    samples = [InstanceData(metainfo={"id": i}) for i in (1, 2)]
    batch = default_collate(
        [{"x": np.zeros(3), "n": i, "s": s, "t": "a"} for i, s in enumerate(samples)]
    )
    assert batch["x"].shape == (2, 3)
    assert batch["n"].tolist() == [0, 1]
    assert batch["s"] == samples
    assert batch["t"] == ["a", "a"]


def test_sequences_of_different_lengths_cannot_be_collated() -> None:
    with pytest.raises(DataError, match=r"different lengths \(\[1, 2\]\)"):
        pseudo_collate([[1], [1, 2]])
