"""Small models and samples that the tests of this folder share."""

import numpy as np
import pytest
import torch

from poise.structures import InstanceData, PixelData, PoseDataSample

SIZE = (48, 64)  # width, height


@pytest.fixture
def sample():
    """Factory of packed top-down samples with targets of a codec."""

    def make(codec=None, num_keypoints=5, seed=0):
        rng = np.random.default_rng(seed)
        data = PoseDataSample()
        data.set_metainfo(
            {
                "input_size": SIZE,
                "input_center": np.array([100.0, 50.0], dtype=np.float32),
                "input_scale": np.array([96.0, 128.0], dtype=np.float32),
                "img_shape": (200, 300),
                "dataset_name": "tiny",
                "flip_indices": [0, 2, 1, 4, 3][:num_keypoints],
            }
        )
        data.gt_instances = InstanceData(
            bboxes=np.array([[50.0, 0, 150, 100]]), bbox_scores=np.ones(1)
        )
        if codec is not None:
            keypoints = (rng.random((1, num_keypoints, 2)) * SIZE).astype(np.float32)
            encoded = codec.encode(keypoints, np.ones((1, num_keypoints), np.float32))
            tensors = {k: torch.as_tensor(np.asarray(v)) for k, v in encoded.items()}
            maps = tensors.pop("heatmaps", None)
            data.gt_instance_labels = InstanceData(
                **{k: v for k, v in tensors.items() if k.startswith("keypoint_")}
            )
            if maps is not None:
                data.gt_fields = PixelData(heatmaps=maps)
        return data

    return make
