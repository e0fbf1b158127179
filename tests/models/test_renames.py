import pytest
import torch

from poise.models.estimators import TopdownPoseEstimator
from poise.models.heads import (
    CIDHead,
    DEKRHead,
    HeatmapHead,
    IntegralRegressionHead,
    RLEHead,
)


def plain(module):
    """State dict without metadata, as files of unknown age have it."""
    return {k: v.clone() for k, v in module.state_dict().items()}


def load(module, state):
    module.load_state_dict(state, strict=True)
    return module.state_dict()


def test_nested_final_layers_become_conv_layers_and_the_last_one():
    head = HeatmapHead(
        4, 3, deconv_out_channels=None, conv_out_channels=(4,), conv_kernel_sizes=(3,)
    )
    new = plain(head)
    old = {}
    for key, value in new.items():
        if key.startswith("conv_layers."):
            key = key.replace("conv_layers.", "final_layer.")
        elif key.startswith("final_layer."):
            key = key.replace("final_layer.", "final_layer.3.")
        old[key] = value
    assert set(old) != set(new)
    loaded = load(head, old)
    assert all(torch.equal(loaded[k], new[k]) for k in new)


def test_todays_names_stay_whatever_the_metadata_say():
    for head in (
        HeatmapHead(4, 3, deconv_out_channels=None),
        RLEHead(4, 3),
        CIDHead(4, 4, 3),
        DEKRHead(8, 3, num_heatmap_filters=4, num_displacement_filters_per_keypoint=1),
    ):
        new = plain(head)
        loaded = load(head, dict(new))
        assert all(torch.equal(loaded[k], new[k]) for k in new)


def test_the_loss_of_rle_was_called_loss():
    head = RLEHead(4, 3)
    new = plain(head)
    old = {k.replace("loss_module.", "loss."): v for k, v in new.items()}
    assert any(k.startswith("loss.flow_model") for k in old)
    loaded = load(head, old)
    assert all(torch.equal(loaded[k], new[k]) for k in new)


def test_heatmap_weights_fit_an_integral_head():
    head = IntegralRegressionHead(4, (2, 2), 3, deconv_out_channels=(4,), deconv_kernel_sizes=(4,))
    new = plain(head)
    old = {
        k.replace("simplebaseline_head.deconv_layers.", "conv_layers.").replace(
            "simplebaseline_head.final_layer.", "final_layer."
        ): v
        for k, v in new.items()
    }
    loaded = load(head, old)
    assert all(torch.equal(loaded[k], new[k]) for k in new)


OLD_CID = {
    "iia_module.keypoint_root_conv.": "keypoint_center_conv.",
    "gfd_module.channel_attention.": "c_attn.",
    "gfd_module.spatial_attention.": "s_attn.",
    "gfd_module.fuse_attention.": "fuse_attn.",
    "gfd_module.conv_down.": "conv_down.",
    "gfd_module.heatmap_conv.": "heatmap_conv.",
}


def test_cid_of_0x_had_no_modules():
    head = CIDHead(4, 4, 3)
    new = plain(head)
    old = {}
    for key, value in new.items():
        part = next(p for p in OLD_CID if key.startswith(p))
        old[key.replace(part, OLD_CID[part])] = value
    loaded = load(head, old)
    assert all(torch.equal(loaded[k], new[k]) for k in new)


def test_dekr_of_0x_had_the_centre_first_and_opposite_displacements():
    head = DEKRHead(8, 3, num_heatmap_filters=4, num_displacement_filters_per_keypoint=1)
    new = plain(head)
    old = {}
    for key, value in new.items():
        if key.startswith("displacement_conv_layers."):
            value = -value if ".3." in key else value
            key = key.replace("displacement", "offset", 1)
        elif key.startswith("heatmap_conv_layers.2."):
            value = torch.cat([value[-1:], value[:-1]])
        old[key] = value
    loaded = load(head, old)
    assert all(torch.equal(loaded[k], new[k]) for k in new)


@pytest.fixture
def model():
    return TopdownPoseEstimator(
        torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)),
        head=HeatmapHead(4, 3, deconv_out_channels=None),
        data_preprocessor={"type": "PoseDataPreprocessor", "mean": [0.0], "std": [1.0]},
    )


def test_keypoint_head_is_the_head_and_the_normalisation_is_dropped(model):
    new = plain(model)
    old = {f"keypoint_{k}" if k.startswith("head.") else k: v for k, v in new.items()}
    old["data_preprocessor.mean"] = old["data_preprocessor.std"] = torch.ones(1, 1, 1)
    loaded = load(model, old)
    assert all(torch.equal(loaded[k], new[k]) for k in new)
    # the normalisation goes from files of any age
    state = model.state_dict()
    state["data_preprocessor.mean"] = torch.ones(3, 1, 1)
    model.load_state_dict(state, strict=True)
