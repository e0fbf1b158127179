from __future__ import annotations

import numpy as np
import pytest
import torch

from poise.errors import DataError
from poise.structures import MultilevelPixelData, PixelData, PoseDataSample
from poise.transforms import PackPoseInputs, image_to_tensor, keypoints_to_tensor


def test_a_sample_is_packed(person):
    results = person(
        heatmaps=np.zeros((5, 12, 16), np.float32),
        keypoint_weights=np.ones((1, 5), np.float32),
        bbox_scale=np.ones((1, 2), np.float32),
    )
    packed = PackPoseInputs()(results)
    sample = packed["data_samples"]
    assert isinstance(sample, PoseDataSample)
    assert packed["inputs"].shape == (3, 48, 64)
    assert packed["inputs"].dtype == torch.uint8
    np.testing.assert_array_equal(packed["inputs"].permute(1, 2, 0), results["img"])
    assert set(sample.gt_instances.keys()) == {
        "bboxes",
        "bbox_scores",
        "keypoints",
        "keypoints_visible",
        "bbox_scales",
    }
    assert isinstance(sample.gt_instances.keypoints, np.ndarray)
    assert isinstance(sample.gt_instance_labels.keypoint_weights, torch.Tensor)
    assert isinstance(sample.gt_fields, PixelData)
    assert isinstance(sample.gt_fields.heatmaps, torch.Tensor)
    assert sample.metainfo["img_shape"] == (48, 64)
    assert sample.metainfo["flip_indices"] == [0, 2, 1, 4, 3]


def test_a_test_sample_has_no_fields(person):
    assert "gt_fields" not in PackPoseInputs()(person())["data_samples"]


def test_meta_keys_choose_the_metainfo(person):
    sample = PackPoseInputs(meta_keys=["img_id", "absent"])(person())["data_samples"]
    assert sample.metainfo == {"img_id": 7}


def test_mapping_tables_of_the_codec_replace_the_own_ones(person):
    results = person(
        label_mapping_table={"my_labels": "labels"},
        field_mapping_table={"my_maps": "maps"},
        instance_mapping_table={"bbox": "boxes"},
        my_labels=np.ones((1, 5), np.float32),
        my_maps=np.zeros((5, 4, 4), np.float32),
        heatmaps=np.zeros((5, 12, 16), np.float32),
    )
    sample = PackPoseInputs()(results)["data_samples"]
    assert sample.gt_instance_labels.keys() == ["labels"]
    assert sample.gt_fields.keys() == ["maps"]
    assert sample.gt_instances.keys() == ["boxes"]


def test_pack_transformed_adds_the_transformed_keypoints(person):
    results = person(transformed_keypoints=np.ones((1, 5, 2)))
    assert "transformed_keypoints" not in PackPoseInputs()(results)["data_samples"].gt_instances
    sample = PackPoseInputs(pack_transformed=True)(results)["data_samples"]
    assert sample.gt_instances.transformed_keypoints.shape == (1, 5, 2)


def test_extra_labels_are_packed(person):
    step = PackPoseInputs(extra_mapping_labels={"area": "areas"})
    assert step(person())["data_samples"].gt_instance_labels.areas.tolist() == [100.0]


def test_levels_and_their_labels(person):
    results = person(
        heatmaps=[np.zeros((5, 6, 8), np.float32), np.zeros((5, 12, 16), np.float32)],
        keypoint_weights=[np.ones((1, 5), np.float32)] * 2,
    )
    sample = PackPoseInputs()(results)["data_samples"]
    assert isinstance(sample.gt_fields, MultilevelPixelData)
    assert sample.gt_fields.nlevel == 2
    assert sample.gt_instance_labels.keypoint_weights.shape == (2, 1, 5)


def test_a_mask_gets_its_channel(person):
    sample = PackPoseInputs()(person(heatmap_mask=np.ones((4, 6), bool)))["data_samples"]
    assert sample.gt_fields.heatmap_mask.shape == (1, 4, 6)


@pytest.mark.parametrize("labels", [False, True])
def test_lifting_samples_pack_keypoints(labels):
    results = {"keypoints": np.zeros((1, 17, 2)), "lifting_target": np.zeros((1, 17, 3))}
    if labels:
        results["keypoint_labels"] = np.ones((1, 17, 2))
    inputs = PackPoseInputs()(results)["inputs"]
    assert inputs.shape == (1, 17, 2)
    assert inputs.max() == labels


def test_an_empty_result_is_explained():
    with pytest.raises(DataError, match=r"nothing to pack.*LoadImage.*gave bbox"):
        PackPoseInputs()({"bbox": np.zeros((1, 4))})
    with pytest.raises(DataError, match="gave nothing"):
        PackPoseInputs()({})


def test_levels_mixed_with_single_maps_are_refused(person):
    results = person(heatmaps=[np.zeros((5, 6, 8))], heatmap_mask=np.zeros((6, 8)))
    with pytest.raises(DataError, match="heatmaps: True, heatmap_mask: False"):
        PackPoseInputs()(results)


def test_labels_of_different_shapes_are_refused(person):
    results = person(keypoint_weights=[np.ones((1, 5)), np.ones((1, 6))])
    with pytest.raises(DataError, match=r"keypoint_weights.*2 encoders.*\(1, 5\), \(1, 6\)"):
        PackPoseInputs()(results)


def test_labels_for_different_people_are_refused(person):
    results = person(keypoint_weights=np.ones((1, 5)), keypoint_labels=np.ones((2, 5, 2)))
    with pytest.raises(DataError, match="keypoint_weights has 1 entries.*2 instances"):
        PackPoseInputs()(results)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int32])
@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3), (4, 6, 5)])
def test_pictures_become_channel_first(dtype, shape):
    image = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    tensor = image_to_tensor(image)
    expected = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    np.testing.assert_array_equal(tensor.numpy(), expected)
    assert tensor.is_contiguous()
    assert tensor.numpy().dtype == dtype


def test_views_with_negative_strides_become_tensors(picture):
    np.testing.assert_array_equal(
        image_to_tensor(picture[:, ::-1]).numpy(), picture[:, ::-1].transpose(2, 0, 1)
    )


def test_a_tensor_does_not_share_the_pictures_memory(picture):
    tensor = image_to_tensor(picture)
    picture[:] = 0
    assert tensor.max() > 0


def test_sequences_are_stacked(picture):
    assert image_to_tensor([picture, picture]).shape == (2, 3, 48, 64)
    assert keypoints_to_tensor([np.zeros((5, 2))] * 3).shape == (3, 5, 2)


@pytest.mark.parametrize("thing", [[], [1], ["a"], 3, [np.zeros((2, 2)), None]])
@pytest.mark.parametrize("function", [image_to_tensor, keypoints_to_tensor])
def test_other_things_are_refused(function, thing):
    with pytest.raises(DataError, match="must be a numpy array"):
        function(thing)
