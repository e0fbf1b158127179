"""Codecs for several people in one picture."""

import numpy as np
import pytest
import torch

from poise.codecs import SPR, AssociativeEmbedding, DecoupledHeatmap
from poise.codecs.utils.assignment import assign_rows
from poise.codecs.utils.grouping import group_keypoints_by_tags
from poise.errors import ConfigError, DataError

SIZES = {"input_size": (256, 256), "heatmap_size": (64, 64)}


@pytest.fixture
def people(rng):
    """Keypoints (3, 17, 2) of people apart from one another."""
    centers = np.array([[60, 60], [190, 70], [120, 190]])[:, None]
    return (centers + rng.uniform(-45, 45, (3, 17, 2))).astype(np.float32)


def tags_of(codec, encoded, size=1, spread=2.0):
    """Tag maps that carry a value per person at its keypoints."""
    N, K = encoded["keypoint_weights"].shape
    W, H = codec.heatmap_size
    tags = np.zeros((size, K, H * W), np.float32)
    for n in range(N):
        for k in range(K):
            pixel = encoded["keypoint_indices"][n, k, 0]
            for d in (-W - 1, -W, -W + 1, -1, 0, 1, W - 1, W, W + 1):
                tags[:, k, np.clip(pixel + d, 0, H * W - 1)] = n * spread
    return tags.reshape(-1, H, W)


def by_first_keypoint(keypoints):
    return keypoints[np.argsort(keypoints[:, 0, 0])]


@pytest.mark.parametrize("kind", ["array", "tensor"])
@pytest.mark.parametrize("use_udp", [False, True])
@pytest.mark.parametrize("size", [1, 2])
def test_associative_embedding_groups_people(people, kind, use_udp, size):
    codec = AssociativeEmbedding(use_udp=use_udp, decode_keypoint_order=range(17), **SIZES)
    encoded = codec.encode(people)
    given = [encoded["heatmaps"][None], tags_of(codec, encoded, size)[None]]
    if kind == "tensor":
        torch = pytest.importorskip("torch")
        given = [torch.from_numpy(g) for g in given]
    keypoints, scores, instance_scores = codec.batch_decode(*given)
    assert keypoints[0].shape == (3, 17, 2)
    assert scores[0].shape == (3, 17)
    assert instance_scores[0].shape == (3,)
    error = np.abs(by_first_keypoint(keypoints[0]) - by_first_keypoint(people)).max(-1)
    assert np.median(error) < 3


def test_a_missing_keypoint_is_looked_for_by_tag(people):
    codec = AssociativeEmbedding(decode_keypoint_order=range(17), **SIZES)
    encoded = codec.encode(people)
    heatmaps, tags = encoded["heatmaps"], tags_of(codec, encoded)
    x, y = np.round(people[2, 4] / 4).astype(int)
    heatmaps[4, y - 6 : y + 7, x - 6 : x + 7] *= 0.05
    keypoints, scores, _ = codec.batch_decode(heatmaps[None], tags[None])
    found = keypoints[0][np.abs(keypoints[0][:, 0] - people[2, 0]).sum(-1).argmin()]
    np.testing.assert_allclose(found[4], people[2, 4], atol=4)
    assert 0 < scores[0].min() < 0.1


def test_nobody_is_an_empty_result():
    codec = AssociativeEmbedding(decode_keypoint_order=range(17), **SIZES)
    blank = np.zeros((2, 17, 64, 64), np.float32)
    keypoints, scores, people = codec.batch_decode(blank, blank)
    assert [k.shape for k in keypoints] == [(0, 17, 2)] * 2
    assert scores[0].shape == (0, 17)
    assert people[1].shape == (0,)


def test_tags_of_another_size_are_refused():
    codec = AssociativeEmbedding(**SIZES)
    with pytest.raises(DataError, match="Mismatched shapes"):
        codec.batch_decode(np.zeros((1, 17, 64, 64)), np.zeros((1, 17, 32, 64)))
    with pytest.raises(NotImplementedError, match="batch_decode"):
        codec.decode(np.zeros((17, 64, 64)))
    with pytest.raises(DataError, match="keypoint_order has 0 entries for 17"):
        codec.batch_decode(np.zeros((1, 17, 64, 64)), np.zeros((1, 17, 64, 64)))


def test_grouping_prefers_the_nearest_tag_and_opens_groups_for_strangers():
    vals = np.array([[0.9, 0.8], [0.9, 0.8]])
    tags = np.array([[[0.0], [5.0]], [[5.2], [30.0]]], np.float32)
    locs = np.arange(8).reshape(2, 2, 2)
    groups = group_keypoints_by_tags(vals, tags, locs, [0, 1], 0.1)
    assert groups.shape == (3, 2, 3)
    assert groups[1, 1, :2].tolist() == [4, 5]
    assert groups[2, 1, :2].tolist() == [6, 7]
    assert not groups[0, 1].any()
    assert len(group_keypoints_by_tags(vals, tags, locs, [0, 1], 0.1, max_groups=2)) == 2


def grouped_one_by_one(vals, tags, locs):
    """Groups by the first component of their founder's tag, candidate after candidate."""
    members, known = {}, {}
    for kind, candidates in enumerate(vals):
        chosen = np.flatnonzero(candidates > 0.1)
        keys, means = list(known), [np.mean(each, axis=0) for each in known.values()]
        away = np.array([[np.linalg.norm(tags[kind, m] - mean) for mean in means] for m in chosen])
        away = away.reshape(len(chosen), len(means))
        cost = np.full((len(chosen), max(away.shape)), 1e10)
        cost[:, : len(means)] = np.round(away) * 100 - candidates[chosen, None]
        for row, column in enumerate(assign_rows(cost) if len(chosen) else ()):
            tag = tags[kind, chosen[row]]
            if column < len(means) and away[row, column] < 1:
                key = keys[column]
                known[key].append(tag)
            else:
                key = tag[0]
                known[key] = [tag]
            pose = members.setdefault(key, np.zeros((len(vals), 3), np.float32))
            pose[kind] = [*locs[kind, chosen[row]], candidates[chosen[row]]]
    return np.array(list(members.values()))


@pytest.mark.parametrize("seed", range(8))
def test_groups_of_a_crowd_are_those_that_form_one_by_one(seed):
    rng = np.random.default_rng(seed)
    vals = rng.random((5, 14))
    tags = rng.integers(0, 12, (5, 14, 2)) * 0.75
    locs = rng.integers(0, 64, (5, 14, 2))
    groups = group_keypoints_by_tags(vals, tags, locs, range(5), 0.1)
    np.testing.assert_allclose(groups, grouped_one_by_one(vals, tags, locs), rtol=1e-6)


@pytest.mark.parametrize("kind", ["array", "tensor"])
@pytest.mark.parametrize("with_keypoints", [False, True])
def test_spr_round_trip(people, kind, with_keypoints):
    codec = SPR(generate_keypoint_heatmaps=with_keypoints, **SIZES)
    encoded = codec.encode(people)
    given = [encoded["heatmaps"], encoded["displacements"]]
    if kind == "tensor":
        torch = pytest.importorskip("torch")
        given = [torch.from_numpy(g) for g in given]
    keypoints, (roots, scores) = codec.decode(*given)
    keypoints = np.asarray(keypoints)
    assert keypoints.shape == (3, 17, 2)
    np.testing.assert_allclose(by_first_keypoint(keypoints), by_first_keypoint(people), atol=1e-2)
    assert (np.asarray(roots) == 1).all()
    assert (scores is None) != with_keypoints


def test_spr_leaves_tiny_people_out(people):
    encoded = SPR(minimal_diagonal_length=10000, **SIZES).encode(people)
    assert not encoded["heatmaps"].any()
    assert not encoded["displacements"].any()


def test_spr_wants_a_sigma_for_keypoints():
    with pytest.raises(ConfigError, match=r"sigma=\(4, 2\)"):
        SPR(sigma=4, generate_keypoint_heatmaps=True, **SIZES)


def test_keypoint_scores_of_large_steep_maps_round_as_grid_sample_does():
    rng = np.random.default_rng(3)
    maps = torch.from_numpy(rng.normal(size=(5, 128, 160)).astype(np.float32))
    places = torch.from_numpy(rng.uniform(-3, 163, (40, 5, 2)).astype(np.float32))
    codec = SPR((640, 512), (160, 128), generate_keypoint_heatmaps=True)
    grid = torch.stack([places[..., 0] / 159, places[..., 1] / 127], dim=-1) * 2 - 1
    expected = torch.nn.functional.grid_sample(
        maps[:, None], grid.transpose(0, 1)[:, None], padding_mode="border", align_corners=False
    )
    scores = codec.get_keypoint_scores(maps, places)
    # a place near 160 is known to 1.5e-5, pixels beside it differ by up to 8, and whether a
    # processor rounds once or twice in a multiplication with an addition is its own affair
    torch.testing.assert_close(scores, expected.reshape(5, 40).T, rtol=0, atol=1e-4)


def test_keypoint_scores_of_arrays_are_those_of_tensors(rng):
    maps = rng.random((17, 24, 40), dtype=np.float32)
    places = rng.uniform(-3, 43, (50, 17, 2)).astype(np.float32)
    codec = SPR(**SIZES)
    ours = codec.get_keypoint_scores(maps, places)
    expected = codec.get_keypoint_scores(torch.from_numpy(maps), torch.from_numpy(places))
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("limit", [30, 2])
def test_decoupled_round_trip(people, limit):
    codec = DecoupledHeatmap(encode_max_instances=limit, **SIZES)
    encoded = codec.encode(people)
    M = min(3, limit)
    assert encoded["heatmaps"].shape == (18, 64, 64)
    assert encoded["instance_coords"].shape == (M, 2)
    assert encoded["keypoint_weights"].shape == (M, 17)
    maps = encoded["instance_heatmaps"].reshape(M, 17, 64, 64)
    keypoints, scores = codec.decode(maps, np.full((M, 1), 0.5))
    for pose in keypoints:
        # a pixel and a half of the map: fractional windows stand a pixel beside their place
        assert min(np.abs(pose - p).max() for p in people) < 7
    assert scores.max() == 0.5


def test_decoupled_roots_stay_on_the_map():
    codec = DecoupledHeatmap(**SIZES)
    corners = np.array([[0, 0], [0, 252], [252, 0], [252, 252]], np.float32)
    boxes = np.tile(np.float32([0, 0, 0, 40, 40, 0, 40, 40]), (4, 1))
    for _ in range(8):
        pixels = codec.encode(corners[:, None], bbox=boxes)["instance_coords"]
        assert set(np.minimum(pixels, 63 - pixels).flat) <= {0, 1}


def test_decoupled_without_people_is_empty():
    codec = DecoupledHeatmap(**SIZES)
    encoded = codec.encode(np.zeros((2, 17, 2), np.float32), np.zeros((2, 17), np.float32))
    assert encoded["instance_heatmaps"].shape == (0, 64, 64)
    assert encoded["keypoint_weights"].shape == (0,)
    keypoints, scores = codec.decode(np.zeros((0, 17, 64, 64)), np.zeros((0, 1)))
    assert keypoints.shape == (0, 17, 2)
    assert scores.shape == (0, 17)
