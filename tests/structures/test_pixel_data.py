"""Maps: one size per level, windows, levels."""

import numpy as np
import pytest

from poise.errors import ArgumentError, DataError
from poise.structures import MultilevelPixelData, PixelData, PoseDataSample

torch = pytest.importorskip("torch")


@pytest.fixture
def maps():
    return PixelData(metainfo=dict(a=1), heatmaps=np.zeros((17, 8, 6)), mask=torch.zeros(1, 8, 6))


@pytest.fixture
def levels():
    return MultilevelPixelData(
        metainfo=dict(a=1),
        heatmaps=[np.full((17, s, s), s) for s in (4, 8, 16)],
        masks=tuple(torch.zeros(s, s) for s in (4, 8, 16)),
    )


def test_maps_have_one_size(maps):
    assert maps.shape == (8, 6)
    assert PixelData().shape is None
    assert maps["heatmaps"] is maps.heatmaps
    with pytest.raises(DataError, match=r"height and width \(8, 7\)"):
        maps.more = np.zeros((1, 8, 7))


def test_a_single_map_gets_a_channel_axis(maps):
    maps.edge = np.zeros((8, 6))
    assert maps.edge.shape == (1, 8, 6)


@pytest.mark.parametrize("value", [[1, 2], "text", None])
def test_maps_are_arrays(maps, value):
    with pytest.raises(ArgumentError, match="must be a numpy array or a tensor"):
        maps.more = value


def test_maps_have_two_or_three_axes(maps):
    with pytest.raises(DataError, match=r"\(C, H, W\) or \(H, W\)"):
        maps.more = np.zeros((1, 1, 8, 6))


@pytest.mark.parametrize(
    ("window", "shape"),
    [((slice(2, 5), slice(None)), (3, 6)), ((1, -1), (1, 1)), ((-8, 0), (1, 1))],
)
def test_windows_keep_both_axes(maps, window, shape):
    part = maps[window]
    assert part.shape == shape
    assert part.mask.shape == (1, *shape)
    assert part.a == 1


@pytest.mark.parametrize("window", [3, (1, 2, 3), ([1], 2), slice(3)])
def test_other_windows_are_refused(maps, window):
    with pytest.raises(ArgumentError):
        maps[window]


def test_levels_are_maps(levels):
    assert levels.nlevel == 3
    assert levels.shape == ((4, 4), (8, 8), (16, 16))
    assert [level.shape for level in levels.levels()] == [(4, 4), (8, 8), (16, 16)]
    assert isinstance(levels[1], PixelData)
    assert levels[-1].heatmaps[0, 0, 0] == 16
    assert levels["masks"][0].shape == (1, 4, 4)
    assert levels[1:].nlevel == 2
    assert levels[[2, 0]].shape == ((16, 16), (4, 4))
    assert levels[[0]].a == 1


def test_levels_convert_one_by_one(levels):
    assert all(isinstance(m, torch.Tensor) for m in levels.to_tensor().heatmaps)
    assert all(isinstance(m, np.ndarray) for m in levels.numpy().masks)
    assert levels.to(torch.float64).masks[0].dtype == torch.float64
    assert levels.cpu().detach().nlevel == 3


def test_levels_are_deleted_and_popped(levels):
    assert len(levels.pop("heatmaps")) == 3
    del levels.masks
    assert levels.nlevel is None
    assert levels.shape is None
    assert levels.levels() == []


@pytest.mark.parametrize(
    ("name", "value", "error", "text"),
    [
        ("more", np.zeros((3, 4, 4)), ArgumentError, "sequence of arrays"),
        ("more", [], DataError, "is empty"),
        ("more", [1, 2, 3], ArgumentError, r"more\[0\]"),
        ("more", [np.zeros((1, 4, 4))] * 2, DataError, "has 2 levels, but"),
        ("more", [np.zeros((1, 4, 4))] * 3, DataError, r"more\[1\] has height"),
        ("_level_0", [1], AttributeError, "reserved"),
    ],
)
def test_wrong_levels_are_explained(levels, name, value, error, text):
    with pytest.raises(error, match=text):
        setattr(levels, name, value)


def test_wrong_level_numbers_are_explained(levels):
    with pytest.raises(IndexError, match="level 3 is out of range for 3"):
        levels[3]
    with pytest.raises(ArgumentError, match="indexed by a name"):
        levels[1.5]


def test_samples_check_the_types_of_their_fields(maps, levels):
    sample = PoseDataSample()
    for name, good, bad in (
        ("gt_fields", maps, 3),
        ("gt_fields", levels, {}),
        ("pred_fields", maps, levels),
        ("gt_instances", None, maps),
        ("pred_instances", None, maps),
        ("gt_instance_labels", None, {}),
    ):
        if good is not None:
            setattr(sample, name, good)
            assert getattr(sample, name) is good
        with pytest.raises(TypeError, match=f"{name} of PoseDataSample must be"):
            setattr(sample, name, bad)
    assert set(sample.keys()) == {"gt_fields", "pred_fields"}
    del sample.gt_fields
    assert "gt_fields" not in sample
    with pytest.raises(AttributeError, match="no field 'gt_fields'.*is GenerateTarget's encoder"):
        _ = sample.gt_fields
    with pytest.raises(AttributeError) as caught:
        _ = sample.gt_instances
    assert "GenerateTarget" not in str(caught.value)
    with pytest.raises(AttributeError, match="no field 'gt_fields'"):
        del sample.gt_fields
