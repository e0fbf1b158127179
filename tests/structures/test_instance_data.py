"""Instances: equal lengths, every kind of index, joining."""

import numpy as np
import pytest

from poise.errors import ArgumentError, DataError
from poise.structures import InstanceData

torch = pytest.importorskip("torch")


class Joinable:
    """A column of a type of the user's."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return Joinable(self.values[index])

    @staticmethod
    def cat(parts):
        return Joinable([v for p in parts for v in p.values])


@pytest.fixture
def people():
    return InstanceData(
        metainfo=dict(img_id=5),
        keypoints=np.arange(24.0).reshape(4, 3, 2),
        scores=torch.arange(4.0),
        names=["a", "b", "c", "d"],
        pairs=((0, 1), (1, 2), (2, 3), (3, 4)),
        letters="wxyz",
        own=Joinable([10, 11, 12, 13]),
        inner=InstanceData(boxes=np.arange(4)),
    )


INDICES = [
    (1, [1]),
    (-1, [3]),
    (np.int64(2), [2]),
    (slice(1, 3), [1, 2]),
    (slice(None, None, 2), [0, 2]),
    ([3, 0], [3, 0]),
    ([], []),
    ([-1, 0], [3, 0]),
    (np.array([2, 2]), [2, 2]),
    (np.array([2, 0], np.int32), [2, 0]),
    (np.array([True, False, False, True]), [0, 3]),
    ([False, True, False, True], [1, 3]),
    (np.zeros(4, bool), []),
    (torch.tensor([3, 1]), [3, 1]),
    (torch.tensor([True, True, False, False]), [0, 1]),
]


@pytest.mark.parametrize(("index", "rows"), INDICES, ids=[str(i) for i, _ in INDICES])
def test_every_column_follows_the_index(people, index, rows):
    some = people[index]
    assert len(some) == len(rows)
    assert (some.keypoints == people.keypoints[rows]).all()
    assert some.scores.tolist() == rows
    assert some.names == ["abcd"[r] for r in rows]
    assert some.pairs == tuple((r, r + 1) for r in rows)
    assert some.letters == "".join("wxyz"[r] for r in rows)
    assert some.own.values == [10 + r for r in rows]
    assert some.inner.boxes.tolist() == rows
    assert some.img_id == 5


def test_a_name_gives_the_column(people):
    assert people["names"] == ["a", "b", "c", "d"]
    people["names"] = list("efgh")
    assert people.names[0] == "e"


def test_another_length_is_refused(people):
    with pytest.raises(DataError, match="labels has 2 entries, but this InstanceData holds 4"):
        people.labels = [1, 2]
    with pytest.raises(ArgumentError, match="must have a length"):
        people.labels = 3
    assert "labels" not in people


def test_an_empty_element_takes_any_length():
    none = InstanceData()
    assert len(none) == 0
    none.boxes = np.zeros((0, 4))
    assert len(none) == 0
    assert len(none[[]]) == 0


@pytest.mark.parametrize(
    ("index", "error", "text"),
    [
        (4, IndexError, "index 4 is out of range for 4"),
        (-5, IndexError, "index -5"),
        ([True, False], DataError, "a mask of 2 entries does not fit 4"),
        (np.zeros((2, 2), int), DataError, "one axis"),
        (1.5, ArgumentError, "indexed by a name, an int"),
        ([0.0, 1.0], ArgumentError, "by whole numbers or booleans, not by float64"),
        (["a"], ArgumentError, "by whole numbers or booleans, not by <U1"),
        ("nmes", AttributeError, "did you mean 'names'"),
    ],
)
def test_wrong_indices_are_explained(people, index, error, text):
    with pytest.raises(error, match=text):
        people[index]


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_tensors_that_are_neither_places_nor_a_mask_are_refused(people, kind):
    torch = pytest.importorskip("torch")
    index = torch.ones(4, dtype=getattr(torch, kind))
    with pytest.raises(ArgumentError, match=f"whole numbers or booleans, not by torch.{kind}"):
        people[index]


def test_a_column_that_cannot_be_picked_is_named():
    class Plain:
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return self

    with pytest.raises(DataError, match="field odd of type Plain"):
        InstanceData(odd=Plain())[[0]]
    with pytest.raises(DataError, match="field odd of type Plain cannot be joined"):
        InstanceData.cat([InstanceData(odd=Plain())] * 2)


def test_cat_joins_every_kind_of_column(people):
    both = InstanceData.cat([people, people[[2]]])
    assert len(both) == 5
    assert both.keypoints.shape == (5, 3, 2)
    assert both.scores.tolist() == [0, 1, 2, 3, 2]
    assert both.names == ["a", "b", "c", "d", "c"]
    assert both.letters == "wxyzy"
    assert both.own.values[-1] == 12
    assert both.inner.boxes.tolist() == [0, 1, 2, 3, 2]
    assert both.metainfo == {"img_id": 5}
    assert InstanceData.cat([people]) is people


@pytest.mark.parametrize("parts", [[], [InstanceData(), 3]])
def test_cat_takes_instances(parts):
    with pytest.raises(ArgumentError, match="non-empty list of InstanceData"):
        InstanceData.cat(parts)


def test_cat_needs_the_same_fields(people):
    with pytest.raises(DataError, match=r"element 0 and element 1 differ in \['more'\]"):
        InstanceData.cat([people, people.new(more=[1, 2, 3, 4], **dict(people.items()))])


def test_columns_on_the_cpu_follow_an_index_and_keep_gradients(people):
    people.scores = torch.arange(4.0, requires_grad=True)
    people[torch.tensor([0, 3])].scores.sum().backward()
    assert people.scores.grad.tolist() == [1, 0, 0, 1]
