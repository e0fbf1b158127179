import pytest
import torch

from poise.errors import ArgumentError, ConfigError, DataError
from poise.models.preprocessors import BatchSyncRandomResize, PoseDataPreprocessor
from poise.models.progress import Progress
from poise.structures import InstanceData, PixelData, PoseDataSample

MEAN, STD = [10.0, 20.0, 30.0], [2.0, 4.0, 8.0]


def picture(height, width, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(256, (3, height, width), generator=g, dtype=torch.uint8)


def normalised(image):
    columns = [torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD)]
    return (image[[2, 1, 0]].float() - columns[0]) / columns[1]


@pytest.fixture
def preprocessor():
    return PoseDataPreprocessor(MEAN, STD, bgr_to_rgb=True)


@pytest.mark.parametrize("stacked", [False, True])
def test_pictures_become_one_normalised_batch(preprocessor, stacked):
    images = [picture(4, 6, s) for s in range(2)]
    inputs = torch.stack(images) if stacked else images
    samples = [PoseDataSample() for _ in images]
    out = preprocessor({"inputs": inputs, "data_samples": samples})
    assert torch.equal(out["inputs"], torch.stack([normalised(i) for i in images]))
    assert out["data_samples"][1].metainfo == {"batch_input_shape": (4, 6), "pad_shape": (4, 6)}
    # the caller's data stay as they were
    assert samples[0].metainfo == {}


def test_float_pictures_are_not_changed_in_place():
    image = torch.ones(1, 3, 2, 2)
    PoseDataPreprocessor([1.0], [2.0])({"inputs": image, "data_samples": []})
    assert torch.equal(image, torch.ones(1, 3, 2, 2))


def test_sizes_that_differ_are_padded_after_normalisation():
    images = [picture(4, 6), picture(5, 3)]
    own = PoseDataPreprocessor(MEAN, STD, pad_size_divisor=4, pad_value=7, bgr_to_rgb=True)
    out = own({"inputs": images, "data_samples": [PoseDataSample(), PoseDataSample()]})
    assert out["inputs"].shape == (2, 3, 8, 8)
    assert torch.equal(out["inputs"][1, :, :5, :3], normalised(images[1]))
    assert (out["inputs"][1, :, 5:] == 7).all()
    assert [s.metainfo["pad_shape"] for s in out["data_samples"]] == [(4, 8), (8, 4)]


def test_several_scales_are_batched_one_by_one(preprocessor):
    scales = [[picture(4, 4)], [picture(8, 8)]]
    out = preprocessor({"inputs": scales, "data_samples": [PoseDataSample()]})
    assert [tuple(x.shape) for x in out["inputs"]] == [(1, 3, 4, 4), (1, 3, 8, 8)]


def test_buffers_follow_the_model_but_are_not_saved(preprocessor):
    assert preprocessor.state_dict() == {}
    assert preprocessor.device.type == "cpu"
    assert preprocessor.to("meta").device.type == "meta"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"mean": MEAN}, "give both mean and std"),
        ({"mean": [1.0, 2.0], "std": [1.0, 2.0]}, "1 value or 3"),
        ({"bgr_to_rgb": True, "rgb_to_bgr": True}, "not both"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, text):
    with pytest.raises(ConfigError, match=text):
        PoseDataPreprocessor(**settings)


def test_inputs_of_another_kind_are_refused(preprocessor):
    with pytest.raises(DataError, match=r"shape \(B, C, H, W\)"):
        preprocessor.batch(torch.ones(3, 4, 4))
    with pytest.raises(DataError, match="3 channels"):
        preprocessor.batch([torch.ones(3, 4, 4)[:1].expand(4, 4, 4)])
    with pytest.raises(ArgumentError, match="list of tensors"):
        preprocessor.batch("picture")


def test_batch_resize_scales_what_the_samples_hold(monkeypatch):
    monkeypatch.setattr("random.randint", lambda low, high: high)
    resize = BatchSyncRandomResize((32, 64), interval=2)
    sample = PoseDataSample()
    sample.set_metainfo({"img_shape": (32, 32), "pad_shape": (32, 32)})
    sample.gt_instance_labels = InstanceData(
        bboxes=torch.ones(1, 4), keypoints=torch.ones(1, 5, 2), areas=torch.ones(1)
    )
    sample.gt_fields = PixelData(heatmap_mask=torch.ones(1, 32, 32))
    inputs = torch.ones(1, 3, 32, 32)
    assert resize(inputs, [sample])[0].shape[-1] == 32
    resize.progress = Progress(iter=1)
    assert resize(inputs, [sample])[0].shape[-1] == 32
    assert resize(inputs, [sample])[0].shape[-2:] == (64, 64)
    assert sample.metainfo["img_shape"] == (64, 64)
    assert sample.gt_instance_labels.keypoints.max() == 2
    assert sample.gt_instance_labels.areas == 4
    assert sample.gt_fields.heatmap_mask.shape == (1, 64, 64)
