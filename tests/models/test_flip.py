import pytest
import torch

from poise.errors import ConfigError, DataError
from poise.models.flip import (
    aggregate_heatmaps,
    flip_coordinates,
    flip_heatmaps,
    flip_sequences,
    flip_test,
    flip_vectors,
    flip_visibility,
)

ORDER = [0, 2, 1]


def rand(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("mode", "channels"), [("heatmap", 3), ("udp_combined", 9), ("offset", 6)])
def test_mirroring_twice_changes_nothing(mode, channels):
    maps = rand(2, channels, 4, 6)
    kept = maps.clone()
    once = flip_heatmaps(maps, ORDER, mode, shift_heatmap=False)
    assert not torch.equal(once, maps)
    assert torch.equal(flip_heatmaps(once, ORDER, mode, shift_heatmap=False), maps)
    assert torch.equal(maps, kept)


@pytest.mark.parametrize(("mode", "channel"), [("udp_combined", 1), ("offset", 0)])
def test_x_offsets_change_sign(mode, channel):
    size = 3 if mode == "udp_combined" else 2
    maps = rand(1, size, 2, 3)
    have = flip_heatmaps(maps, None, mode, shift_heatmap=False)
    for c in range(size):
        sign = -1 if c == channel else 1
        assert torch.equal(have[:, c], sign * maps[:, c].flip(-1))


def test_shifting_moves_maps_to_the_right_and_keeps_the_first_column():
    maps = torch.arange(4.0).reshape(1, 1, 1, 4)
    assert flip_heatmaps(maps, None).tolist() == [[[[3, 3, 2, 1]]]]


def test_maps_with_depth_are_mirrored_along_the_width():
    maps = rand(1, 3, 2, 4, 6)
    assert torch.equal(flip_heatmaps(maps, ORDER, shift_heatmap=False), maps.flip(-1)[:, ORDER])


def test_unknown_mode_and_wrong_number_of_indices_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'heatmap'"):
        flip_heatmaps(rand(1, 3, 2, 2), ORDER, "heatmaps")
    with pytest.raises(DataError, match=r"for 4 keypoints, .* has 3 flip indices"):
        flip_heatmaps(rand(1, 4, 2, 2), ORDER)
    with pytest.raises(DataError, match="visibility for 4 keypoints"):
        flip_visibility(rand(1, 4), ORDER)


def test_distributions_mirror_along_x_only():
    x, y = rand(1, 3, 5), rand(1, 3, 4)
    flipped_x, flipped_y = flip_vectors(x, y, ORDER)
    assert torch.equal(flipped_x, x[:, ORDER].flip(-1))
    assert torch.equal(flipped_y, y[:, ORDER])


@pytest.mark.parametrize("shift", [False, True])
def test_coordinates_mirror_at_the_middle(shift):
    coords = rand(2, 3, 4)
    kept = coords.clone()
    have = flip_coordinates(coords, ORDER, shift, (10, 20))
    assert torch.allclose(have[..., 0], 1 - coords[:, ORDER, 0] - (0.1 if shift else 0))
    assert torch.equal(have[..., 1:], coords[:, ORDER, 1:])
    assert torch.equal(coords, kept)


def test_sequences_mirror_at_zero():
    motion = rand(2, 4, 3, 3)
    have = flip_sequences(motion, {"flip_indices": ORDER}, {})
    assert torch.allclose(have[..., 0], -motion[:, :, ORDER, 0])


def test_aggregate_resizes_to_the_first_and_averages():
    first, second = rand(1, 2, 4, 6), torch.ones(1, 2, 8, 12)
    assert torch.allclose(aggregate_heatmaps([first, second], None), (first + 1) / 2)
    joined = aggregate_heatmaps([first, second], (12, 8), mode="concat")
    assert joined.shape == (1, 4, 8, 12)
    with pytest.raises(DataError, match="cannot average"):
        aggregate_heatmaps([first, rand(1, 3, 4, 6)], None)
    with pytest.raises(ConfigError, match="mode"):
        aggregate_heatmaps([first], None, mode="max")


@pytest.mark.parametrize("align", [False, True])
def test_maps_of_other_sizes_are_resized_and_may_have_other_channels(align):
    small, large = rand(2, 3, 4, 6), rand(2, 5, 8, 10)
    joined = aggregate_heatmaps([small, large], (12, 16), align, mode="concat")
    for part, maps in zip(joined.split([3, 5], dim=1), (small, large), strict=True):
        wanted = torch.nn.functional.interpolate(maps, (16, 12), None, "bilinear", align)
        assert torch.equal(part, wanted)
    with pytest.raises(DataError, match="cannot average heatmaps of shapes"):
        aggregate_heatmaps([small, large], None)
    with pytest.raises(DataError, match="cannot concat heatmaps of shapes"):
        aggregate_heatmaps([small, large[:1]], None, mode="concat")


def test_both_distributions_have_the_keypoints_of_the_indices():
    short, whole = rand(2, 2, 8), rand(2, 3, 8)
    for pair, name in (((short, whole), "x"), ((whole, short), "y")):
        with pytest.raises(DataError, match=f"{name} distributions"):
            flip_vectors(*pair, ORDER)


def test_flip_test_averages_nested_outputs_and_keeps_none():
    class Sample:
        metainfo = {"flip_indices": ORDER}

    def unflip(outputs, metainfo, test_cfg):
        return (outputs[0] * 0, None)

    have = flip_test(lambda f: (f, None), unflip, [4.0, 1.0], [Sample()], {"flip_test": True})
    assert have == (2.0, None)
    with pytest.raises(DataError, match="list of two"):
        flip_test(lambda f: f, unflip, torch.ones(1), [Sample()], {"flip_test": True})
