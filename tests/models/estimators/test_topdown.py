import numpy as np
import pytest
import torch
from torch import nn

from poise.codecs import MSRAHeatmap
from poise.errors import ArgumentError, ConfigError
from poise.models import build_model
from poise.models.estimators import TopdownPoseEstimator
from poise.models.heads import HeatmapHead
from poise.models.progress import Progress
from poise.registry import MODELS

K, SIZE, MAP = 5, (48, 64), (12, 16)


class Backbone(nn.Module):
    """Two convolutions that give one map a quarter as large."""

    def __init__(self, channels=8):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 4, stride=4)

    def forward(self, x):
        return (self.conv(x),)


def head(channels=8, **settings):
    return HeatmapHead(channels, K, None, decoder=MSRAHeatmap(SIZE, MAP, sigma=1.0), **settings)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return TopdownPoseEstimator(
        Backbone(), head=head(), data_preprocessor={"type": "PoseDataPreprocessor"}
    ).eval()


@pytest.fixture
def pictures():
    return torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


def test_parts_may_be_dicts_or_modules(model, pictures):
    MODELS.register_module(name="TinyBackbone", module=Backbone, force=True)
    built = build_model(
        {
            "type": "TopdownPoseEstimator",
            "backbone": {"type": "TinyBackbone"},
            "head": {
                "type": "HeatmapHead",
                "in_channels": 8,
                "out_channels": K,
                "deconv_out_channels": None,
            },
        }
    ).eval()
    built.load_state_dict(model.state_dict())
    assert torch.equal(built(pictures), model(pictures))
    with pytest.raises(ArgumentError, match="`head` should be a config dict or a module, got str"):
        TopdownPoseEstimator(Backbone(), head="HeatmapHead")


def test_predictions_are_in_image_space(model, sample):
    maps = torch.zeros(1, K, 16, 12)
    maps[0, :, 4, 3] = 1  # a quarter of the crop, whose corner is (52, -14)
    model.head.test_forward = lambda feats: maps
    out = model(torch.zeros(1, 3, 64, 48), [sample()], mode="predict")[0]
    assert np.allclose(out.pred_instances.keypoints, [52 + 24, -14 + 32])
    assert out.pred_instances.bboxes.shape == (1, 4)
    assert np.array_equal(out.pred_instances.keypoints_visible, out.pred_instances.keypoint_scores)


def test_chosen_keypoints_and_their_maps_are_kept(model, pictures, sample):
    model.test_cfg = {"output_heatmaps": True, "output_keypoint_indices": [4, 0]}
    out = model(pictures, [sample(), sample()], mode="predict")[1]
    assert out.pred_instances.keypoints.shape == (1, 2, 2)
    assert out.pred_fields.heatmaps.shape == (2, 16, 12)
    model.test_cfg = {"output_keypoint_indices": [5]}
    with pytest.raises(ConfigError, match="asks for keypoint 5, but the head predicts 5"):
        model(pictures, [sample(), sample()], mode="predict")


def test_flip_test_needs_as_many_indices_as_keypoints(model, pictures, sample):
    model.test_cfg = {"flip_test": True}
    assert len(model(pictures, [sample(), sample()], mode="predict")) == 2
    few = [sample(num_keypoints=4) for _ in range(2)]
    with pytest.raises(ValueError, match=r"for 5 keypoints, .* 4 flip indices"):
        model(pictures, few, mode="predict")


def test_wrong_channels_are_explained(pictures):
    model = TopdownPoseEstimator(Backbone(16), head=head(8))
    text = r"HeatmapHead\(in_channels=8\) got 16 channels from Backbone"
    with pytest.raises(ConfigError, match=text):
        model(pictures)


def test_a_codec_of_another_input_size_is_refused(model, sample):
    with pytest.raises(ConfigError, match=r"input_size=\(48, 64\), but the pictures are 32 x 64"):
        model(torch.zeros(1, 3, 64, 32), [sample()], mode="predict")


def test_padded_crops_are_no_other_size(pictures, sample):
    cfg = {"type": "PoseDataPreprocessor", "pad_size_divisor": 40}
    model = TopdownPoseEstimator(
        Backbone(), head=head(), data_preprocessor=cfg, test_cfg={"output_heatmaps": True}
    ).eval()
    plain = model(pictures, [sample(), sample()], mode="predict")[1]
    batch = model.data_preprocessor(
        {"inputs": list(pictures), "data_samples": [sample(), sample()]}
    )
    assert batch["inputs"].shape == (2, 3, 80, 80)
    padded = model(**batch, mode="predict")[1]
    maps = padded.pred_fields.heatmaps
    assert maps.shape == (K, 20, 20)
    torch.testing.assert_close(maps[:, :16, :12], plain.pred_fields.heatmaps)


def test_modes_and_missing_samples_are_checked(model, pictures):
    with pytest.raises(ConfigError, match="mode must be one of"):
        model(pictures, mode="train")
    with pytest.raises(ArgumentError, match="mode='loss' needs `data_samples`"):
        model(pictures, mode="loss")
    with pytest.raises(ConfigError, match="has no head"):
        TopdownPoseEstimator(Backbone())(pictures, [], mode="predict")


def test_a_training_step_lowers_the_loss(model, pictures, sample):
    model.train()
    codec = model.head.decoder
    data = {"inputs": list(pictures), "data_samples": [sample(codec), sample(codec)]}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    first = model.train_step(data, optimizer)
    assert set(first) == {"loss", "loss_kpt", "acc_pose"}
    for _ in range(5):
        last = model.train_step(data, optimizer)
    assert last["loss"] < first["loss"]
    assert "pred_instances" in model.val_step(data)[0]


def test_losses_are_summed_by_name(model):
    total, logged = model.parse_losses(
        {"loss_a": torch.ones(2), "loss_b": [torch.ones(1)] * 3, "acc": torch.ones(1)}
    )
    assert total == 4
    assert list(logged) == ["loss", "loss_a", "loss_b", "acc"]
    with pytest.raises(ArgumentError, match="should be a tensor"):
        model.parse_losses({"loss": 1.0})


def test_training_position_reaches_the_parts(model):
    model.head.progress = Progress()
    model.set_progress(epoch=3, max_epochs=9, iter=30, max_iters=90)
    assert model.head.progress.epoch == 3


def test_outdated_head_settings_become_a_neck():
    from poise.models.estimators.outdated import modernise

    old = {
        "type": "HeatmapHead",
        "in_channels": (4, 8),
        "input_transform": "resize_concat",
        "input_index": (0, 1),
        "extra": {"final_conv_kernel": 3},
    }
    with pytest.warns(UserWarning, match="outdated"):
        neck, new = modernise(None, old)
    assert neck == {"type": "FeatureMapProcessor", "concat": True, "select_index": (0, 1)}
    assert new == {
        "type": "HeatmapHead",
        "in_channels": 12,
        "final_layer": {"kernel_size": 3, "padding": 1},
    }
    with pytest.warns(UserWarning, match="outdated"):
        neck, new = modernise(None, {"in_channels": [4, 8], "input_index": 1})
    assert (neck["select_index"], new["in_channels"]) == (1, 8)
    with pytest.warns(UserWarning, match="outdated"):
        assert modernise(None, {"has_final_layer": False}) == (None, {"final_layer": None})
    today = {"type": "HeatmapHead", "in_channels": 8}
    assert modernise(None, today) == (None, today)


def test_whole_configs_give_cfg_and_dataset_meta(pictures):
    MODELS.register_module(name="TinyBackbone", module=Backbone, force=True)
    config = {
        "model": {"type": "TopdownPoseEstimator", "backbone": {"type": "TinyBackbone"}},
        "test_dataloader": {
            "dataset": {"metainfo": {"from_file": "configs/_base_/datasets/coco.py"}}
        },
    }
    model = build_model(config)
    assert model.dataset_meta["num_keypoints"] == 17
    assert model.cfg.model.type == "TopdownPoseEstimator"
    with pytest.raises(ConfigError, match="'type' .a model. or 'model'"):
        build_model({"backbone": {}})
    with pytest.raises(ArgumentError, match="build_model takes"):
        build_model(3)


def test_covariances_lie_in_the_picture_and_belong_to_the_chosen_keypoints(model, pictures, sample):
    def predicted(scale, **cfg):
        model.test_cfg = {"output_covariances": True, **cfg}
        samples = [sample(), sample()]
        samples[1].set_metainfo({"input_scale": np.array(scale)})
        with torch.no_grad():
            return model.predict(pictures, samples)[1].pred_instances

    own = predicted((48.0, 64.0))
    assert own.keypoint_covariances.shape == (1, K, 2, 2)
    # the same crop of a picture twice as large, three times as high
    larger = predicted((96.0, 192.0))
    factors = np.outer((2, 3), (2, 3))
    np.testing.assert_allclose(
        larger.keypoint_covariances, own.keypoint_covariances * factors, rtol=1e-5
    )
    assert larger.keypoint_covariances.dtype == np.float32
    chosen = predicted((48.0, 64.0), output_keypoint_indices=[3, 1])
    np.testing.assert_array_equal(chosen.keypoint_covariances, own.keypoint_covariances[:, [3, 1]])


def test_a_head_that_does_not_know_says_so(model, pictures, sample):
    class Silent(HeatmapHead):
        def predict(self, feats, batch_data_samples, test_cfg):
            return self.decode(self.test_outputs(feats, batch_data_samples, {}))

    model.head.__class__ = Silent
    model.test_cfg = {"output_covariances": True}
    with pytest.raises(ConfigError, match=r"Silent gave no covariances; test_cfg\.output_cov"):
        model.predict(pictures, [sample(), sample()])
