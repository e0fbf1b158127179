"""Orders of samples: complete, disjoint between processes, reproducible."""

from __future__ import annotations

import pickle
from itertools import chain, islice, pairwise
from typing import Any

import pytest

from poise.datasets import (
    CombinedDataset,
    DefaultSampler,
    InfiniteSampler,
    MultiSourceSampler,
    PictureSampler,
)
from poise.datasets import samplers as module
from poise.errors import ArgumentError, DataError
from poise.registry import DATA_SAMPLERS


@pytest.fixture
def ranks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`ranks(world, make)`: what `make()` gives in each of `world` processes."""

    def run(world: int, make: Any) -> list[Any]:
        made = []
        for rank in range(world):
            monkeypatch.setattr(module, "rank_and_world_size", lambda r=rank: (r, world))
            made.append(make())
        return made

    return run


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_an_epoch(ranks: Any, world: int, shuffle: bool) -> None:
    parts = ranks(world, lambda: DefaultSampler(range(10), shuffle, seed=0, round_up=False))
    drawn = [list(p) for p in parts]
    assert [len(p) for p in parts] == [len(d) for d in drawn]
    assert sorted(chain(*drawn)) == list(range(10))


@pytest.mark.parametrize("size", [1, 2, 7, 12])
def test_rounding_up_gives_equal_shares(ranks: Any, size: int) -> None:
    parts = ranks(5, lambda: DefaultSampler(range(size), shuffle=False))
    drawn = [list(p) for p in parts]
    assert {len(d) for d in drawn} == {-(-size // 5)}
    assert set(chain(*drawn)) == set(range(size))


def test_the_order_depends_on_seed_and_epoch() -> None:
    sampler = DefaultSampler(range(50), seed=1)
    first = list(sampler)
    assert first == list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(DefaultSampler(range(50), seed=2)) == list(sampler)


def test_an_infinite_sampler_goes_round_and_round() -> None:
    drawn = list(islice(InfiniteSampler(range(4), shuffle=False, seed=0), 10))
    assert drawn == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    shuffled = list(islice(InfiniteSampler(range(40), seed=0), 80))
    assert sorted(shuffled[:40]) == sorted(shuffled[40:]) == list(range(40))
    assert shuffled[:40] != shuffled[40:]


def test_an_infinite_sampler_goes_on_where_it_was() -> None:
    sampler = InfiniteSampler(range(5), shuffle=False, seed=0)
    assert list(islice(sampler, 3)) == [0, 1, 2]
    assert list(islice(sampler, 3)) == [3, 4, 0]


def test_samplers_can_be_sent_to_other_processes() -> None:
    sampler = pickle.loads(pickle.dumps(InfiniteSampler(range(5), seed=3)))
    assert list(islice(sampler, 5)) == list(islice(InfiniteSampler(range(5), seed=3), 5))


@pytest.fixture
def mixed(coco: Any, person: Any, schema: Any) -> CombinedDataset:
    """Parts of 6 and 3 samples."""
    parts = [coco([person(i) for i in range(1, n + 1)]) for n in (6, 3)]
    return CombinedDataset(schema(), parts)


@pytest.mark.parametrize("ratio", [[1, 1], [3, 1], [1, 0]])
def test_batches_have_the_shares_of_their_sources(mixed: CombinedDataset, ratio: list[int]) -> None:
    sampler = MultiSourceSampler(mixed, batch_size=4, source_ratio=ratio, seed=0)
    drawn = list(sampler)
    assert len(sampler) == 9
    assert len(drawn) == 12
    for start in range(0, 12, 4):
        batch = drawn[start : start + 4]
        assert sum(i >= 6 for i in batch) == 4 * ratio[1] // sum(ratio)
    assert all(0 <= i < 9 for i in drawn)


def test_without_rounding_the_last_batch_is_left_out(mixed: CombinedDataset) -> None:
    sampler = MultiSourceSampler(mixed, 4, [1, 1], round_up=False, shuffle=False)
    assert len(list(sampler)) == 8


def test_sources_that_are_resampled_stay_in_range(coco: Any, person: Any, schema: Any) -> None:
    parts = [coco([person(i) for i in range(1, n + 1)]) for n in (6, 3)]
    mixed = CombinedDataset(schema(), parts, sample_ratio_factor=[0.5, 2])
    drawn = list(MultiSourceSampler(mixed, 2, [1, 1], seed=0))
    assert set(drawn[::2]) <= {0, 1, 2}
    assert set(drawn[1::2]) <= set(range(3, 9))


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"batch_size": 0}, DataError, "positive integer"),
        ({"batch_size": 1.5}, DataError, "positive integer"),
        ({"source_ratio": 1}, ArgumentError, "must be a list"),
        ({"source_ratio": [1]}, DataError, "has 1 entries, the dataset 2 parts"),
        ({"source_ratio": [1, -1]}, DataError, "shares of 0 or more"),
        ({"source_ratio": [0, 0]}, DataError, "not all 0"),
        ({"source_ratio": [4.5, 0.5]}, DataError, "part 1 has the share 0.5 of 5.*batch_size=10"),
        ({"dataset": [1]}, ArgumentError, "must be a CombinedDataset, got list"),
    ],
)
def test_wrong_settings_are_refused(
    mixed: CombinedDataset, arguments: dict[str, Any], kind: type, text: str
) -> None:
    settings = {"dataset": mixed, "batch_size": 4, "source_ratio": [1, 1], **arguments}
    with pytest.raises(kind, match=text):
        MultiSourceSampler(**settings)


def test_a_part_without_samples_is_named(coco: Any, person: Any, schema: Any) -> None:
    parts = [coco([person(1)]), coco([person(1)])]
    mixed = CombinedDataset(schema(), parts, sample_ratio_factor=[1, 0.2])
    with pytest.raises(DataError, match="part 1 has no samples, but is to give 2 of a batch of 4"):
        MultiSourceSampler(mixed, 4, [1, 1])
    assert list(MultiSourceSampler(mixed, 2, [1, 0], seed=0)) == [0, 0]


@pytest.mark.parametrize("name", ["DefaultSampler", "InfiniteSampler", "mmengine.DefaultSampler"])
def test_samplers_are_found_by_name(name: str) -> None:
    assert len(DATA_SAMPLERS.build({"type": name, "dataset": range(3), "seed": 0})) == 3


class People:
    """Twelve people: of picture 0 four, of each other one fewer, not side by side."""

    img_ids = (0, 1, 0, 2, 3, 0, 1, 2, 0, 1, 4, 5)

    def __len__(self) -> int:
        return len(self.img_ids)

    def get_data_info(self, index: int) -> dict[str, Any]:
        return {"img_id": self.img_ids[index]}


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("round_up", [True, False])
@pytest.mark.parametrize("world", [1, 2, 5])
def test_people_of_a_picture_follow_one_another(
    ranks: Any, world: int, round_up: bool, shuffle: bool
) -> None:
    parts = ranks(world, lambda: PictureSampler(People(), shuffle, 0, round_up))
    assert [len(list(part)) for part in parts] == [len(part) for part in parts]
    drawn = list(chain.from_iterable(parts))
    assert set(drawn) == set(range(12))
    if not round_up:
        assert len(drawn) == 12
    pictures = [People.img_ids[i] for i in drawn[:12]]
    changes = sum(a != b for a, b in pairwise(pictures))
    assert changes == len(set(pictures)) - 1


def test_pictures_come_in_another_order_each_epoch() -> None:
    sampler = PictureSampler(People(), seed=0)
    first = list(sampler)
    assert first == list(sampler)
    sampler.set_epoch(1)
    assert first != list(sampler)


def test_picture_sampler_needs_to_know_the_pictures() -> None:
    with pytest.raises(ArgumentError, match=r"get_data_info\(\).*range has none"):
        PictureSampler(range(3))


def test_people_of_records_are_drawn_as_those_of_any_dataset(coco, person):
    people = [person(number, image=1 + number % 3) for number in range(1, 9)]
    packed, plain = coco(people), coco(people, serialize_data=False)
    assert list(PictureSampler(packed, seed=1)) == list(PictureSampler(plain, seed=1))
