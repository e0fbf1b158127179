import numpy as np
import pytest
import torch

from poise.codecs import (
    IntegralRegressionLabel,
    MSRAHeatmap,
    RegressionLabel,
    SimCCLabel,
)
from poise.errors import ConfigError, DataError
from poise.layers.rtmcc_block import RTMCCBlock
from poise.models.heads import (
    BaseHead,
    CPMHead,
    DSNTHead,
    HeatmapHead,
    IntegralRegressionHead,
    MSPNHead,
    RegressionHead,
    RLEHead,
    RTMCCHead,
    RTMWHead,
    SimCCHead,
    ViPNASHead,
    YOLOXPoseHead,
)
from poise.models.progress import Progress

K, SIZE, MAP = 5, (48, 64), (12, 16)


def heatmap_codec():
    return MSRAHeatmap(SIZE, MAP, sigma=1.0)


def simcc_codec():
    return SimCCLabel(SIZE, sigma=2.0, simcc_split_ratio=2.0)


def integral_codec():
    return IntegralRegressionLabel(SIZE, MAP, sigma=1.0)


def feature(channels=8, scale=1):
    g = torch.Generator().manual_seed(channels)
    return torch.randn(2, channels, 16 // scale, 12 // scale, generator=g)


SIMCC = {"input_size": SIZE, "in_featuremap_size": (12, 16)}
GAU = {
    "hidden_dims": 16,
    "s": 8,
    "expansion_factor": 2,
    "dropout_rate": 0.0,
    "drop_path": 0.0,
    "act_fn": "SiLU",
    "use_rel_bias": False,
    "pos_enc": False,
}

#: name -> (head of a codec, codec, features)
HEADS = {
    "heatmap": (
        lambda c: HeatmapHead(8, K, None, None, (4,), (3,), decoder=c),
        heatmap_codec,
        lambda: (feature(),),
    ),
    "deconv": (
        lambda c: HeatmapHead(8, K, (6,), (4,), decoder=c),
        heatmap_codec,
        lambda: (feature(scale=2),),
    ),
    "vipnas": (
        lambda c: ViPNASHead(8, K, (4,), (4,), (2,), decoder=c),
        heatmap_codec,
        lambda: (feature(scale=2),),
    ),
    "cpm": (
        lambda c: CPMHead(8, K, 2, loss=[{"type": "KeypointMSELoss"}] * 2, decoder=c),
        heatmap_codec,
        lambda: (feature(), feature()),
    ),
    "regression": (
        lambda c: RegressionHead(8, K, decoder=c),
        lambda: RegressionLabel(SIZE),
        lambda: (feature().mean((2, 3)),),
    ),
    "rle": (
        lambda c: RLEHead(8, K, decoder=c),
        lambda: RegressionLabel(SIZE),
        lambda: (feature().mean((2, 3)),),
    ),
    "integral": (
        lambda c: IntegralRegressionHead(8, MAP, K, True, 2.0, None, decoder=c),
        integral_codec,
        lambda: (feature(),),
    ),
    "dsnt": (
        lambda c: DSNTHead(8, (6, 8), K, 1, False, 1.0, (6,), (4,), decoder=c),
        integral_codec,
        lambda: (feature(scale=2),),
    ),
    "simcc": (
        lambda c: SimCCHead(8, K, **SIMCC, deconv_out_channels=None, decoder=c),
        simcc_codec,
        lambda: (feature(),),
    ),
    "rtmcc": (
        lambda c: RTMCCHead(8, K, **SIMCC, gau_cfg=GAU, decoder=c),
        simcc_codec,
        lambda: (feature(),),
    ),
    "rtmw": (
        lambda c: RTMWHead(
            8, K, input_size=SIZE, in_featuremap_size=(6, 8), gau_cfg=GAU, decoder=c
        ),
        simcc_codec,
        lambda: (feature(4), feature(8, scale=2)),
    ),
}


@pytest.fixture(params=HEADS)
def case(request):
    torch.manual_seed(0)
    make_head, make_codec, make_feats = HEADS[request.param]
    codec = make_codec()
    return make_head(codec).eval(), codec, make_feats()


@pytest.mark.parametrize("flip", [False, True])
def test_predictions_are_one_person_a_sample(case, sample, flip):
    head, _, feats = case
    samples = [sample(), sample()]
    with torch.no_grad():
        preds = head.predict([feats, feats] if flip else feats, samples, {"flip_test": flip})
    assert len(preds) == 2
    for pred in preds:
        assert np.asarray(pred.keypoints).shape == (1, K, 2)
        assert np.asarray(pred.keypoint_scores).shape == (1, K)


def test_losses_have_gradients_and_an_accuracy(case, sample):
    head, codec, feats = case
    losses = head.loss(feats, [sample(codec, seed=s) for s in range(2)])
    assert set(losses) == {"loss_kpt", "acc_pose"}
    losses["loss_kpt"].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in head.parameters())
    assert 0 <= losses["acc_pose"] <= 1


def test_targets_of_another_dataset_are_refused_with_both_places(case, sample):
    head, codec, feats = case
    samples = [sample(codec, num_keypoints=4) for _ in range(2)]
    with pytest.raises(DataError, match=r"=5\) predicts 5 channels, .* tiny have 4"):
        head.loss(feats, samples)


def test_a_head_without_codec_cannot_decode():
    head = HeatmapHead(8, K, None)
    with pytest.raises(ConfigError, match="HeatmapHead has no decoder"):
        head.decode(torch.zeros(1, K, 4, 4))


@pytest.mark.parametrize("name", ["heatmap", "integral", "simcc"])
def test_heatmaps_come_on_request(name, sample, recwarn):
    make_head, make_codec, make_feats = HEADS[name]
    head, samples = make_head(make_codec()), [sample(), sample()]
    preds, fields = head.predict(make_feats(), samples, {"output_heatmaps": True})
    size = (16, 12) if name != "simcc" else (128, 96)
    assert fields[1].heatmaps.shape == (K, *size)
    assert ("keypoint_x_labels" in preds[0]) == (name == "simcc")


@pytest.mark.parametrize("name", ["regression", "rle"])
def test_coordinates_have_no_heatmaps_to_give(name, sample):
    make_head, make_codec, make_feats = HEADS[name]
    head, samples = make_head(make_codec()), [sample(), sample()]
    with torch.no_grad():
        preds = head.predict(make_feats(), samples, {"output_heatmaps": True})
    assert [p.keypoints.shape for p in preds] == [(1, K, 2)] * 2


@pytest.mark.parametrize(("sizes", "built"), [((2,), (2, 2)), ((2, 2, 2), (4, 4))])
def test_simcc_after_vipnas_layers_takes_the_kernel_sizes_where_mmpose_builds_none(sizes, built):
    n = len(sizes)
    small = {"input_size": SIZE, "in_featuremap_size": (3, 4)}
    head = SimCCHead(
        8,
        K,
        **small,
        deconv_type="vipnas",
        deconv_out_channels=(4,) * n,
        deconv_kernel_sizes=sizes,
        deconv_num_groups=(2,) * n,
    )
    layer = next(m for m in head.modules() if isinstance(m, torch.nn.ConvTranspose2d))
    assert layer.kernel_size == built
    x, y = head((feature(scale=4),))
    assert (x.shape[2], y.shape[2]) == (96, 128)


def test_flip_test_of_a_symmetric_answer_changes_nothing(sample):
    head = HeatmapHead(8, K, None, decoder=heatmap_codec())
    maps = torch.rand(1, K, 16, 12)
    mirrored = maps.flip(-1)[:, [0, 2, 1, 4, 3]]
    head.final_layer = torch.nn.Identity()
    feats = [(maps,), (mirrored,)]
    assert torch.allclose(head.test_outputs(feats, [sample()], {"flip_test": True}), maps)


def test_heads_that_cannot_be_mirrored_say_so(sample):
    with pytest.raises(ConfigError, match="BaseHead has no flip test"):
        BaseHead().test_outputs([], [sample()], {"flip_test": True})
    strides = {"type": "MlvlPointGenerator", "strides": [8]}
    one_stage = YOLOXPoseHead(K, prior_generator=strides, assigner={"type": "SimOTAAssigner"})
    with pytest.raises(ConfigError, match="YOLOXPoseHead has no flip test"):
        one_stage.predict([], [sample()], {"flip_test": True})


def test_mspn_supervises_every_unit(sample):
    from poise.structures import InstanceData, MultilevelPixelData

    head = MSPNHead(
        2, 2, (16, 12), 8, K, use_prm=True, level_indices=[0, 1, 0, 1], decoder=heatmap_codec()
    ).eval()
    feats = [[feature(scale=2), feature()]] * 2
    samples = []
    for seed in range(2):
        data = sample(seed=seed)
        data.gt_instance_labels = InstanceData(keypoint_weights=torch.ones(2, 1, K))
        data.gt_fields = MultilevelPixelData(heatmaps=[torch.rand(K, 16, 12) for _ in range(2)])
        samples.append(data)
    losses = head.loss(feats, samples)
    assert losses["loss_kpt"] > 0
    assert len(head.predict(feats, samples)) == 2
    with pytest.raises(ConfigError, match="num_stages is 2, but the backbone gives 1"):
        head.forward(feats[:1])
    with pytest.raises(ConfigError, match="unit_channels is 8"):
        head.forward([[feature(4), feature(4)]] * 2)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: HeatmapHead(8, K, (4, 4), (4,)), "same length"),
        (lambda: HeatmapHead(8, K, (4,), (5,)), "unsupported kernel size 5"),
        (lambda: HeatmapHead(8, K, None, conv_out_channels=(4,)), "same length"),
        (lambda: ViPNASHead(8, K, deconv_num_groups=None), "deconv_num_groups"),
        (lambda: CPMHead(8, K, 2, loss=[{"type": "KeypointMSELoss"}]), "does not match num_stages"),
        (lambda: MSPNHead(level_indices=[0]), "level_indices"),
        (lambda: SimCCHead(8, K, **SIMCC, deconv_type="hm"), "deconv_type"),
        (lambda: RTMCCHead([8, 8], K, **SIMCC), "several input features"),
        (lambda: IntegralRegressionHead([8], MAP, K), "several input features"),
    ],
)
def test_settings_that_do_not_fit_are_refused(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


def test_dsnt_drops_the_heatmap_loss_from_an_epoch_on(sample):
    make_head, make_codec, make_feats = HEADS["dsnt"]
    codec = make_codec()
    head, samples = make_head(codec), [sample(codec, seed=s) for s in range(2)]
    before = head.loss(make_feats(), samples)["loss_kpt"]
    head.progress = Progress(epoch=1, max_epochs=2)
    assert head.loss(make_feats(), samples)["loss_kpt"] < before


def test_weights_start_as_the_head_says():
    head = HeatmapHead(8, K, (4,), (4,))
    head.init_weights()
    assert head.final_layer.weight.std() < 0.01


@pytest.mark.parametrize("flip", [False, True])
def test_covariances_come_on_request(case, sample, flip):
    head, _, feats = case
    samples, cfg = [sample(), sample()], {"flip_test": flip, "output_covariances": True}
    given = [feats, feats] if flip else feats
    if type(head) is RegressionHead:
        with pytest.raises(ConfigError, match="RegressionHead has no covariances: it predicts coo"):
            head.predict(given, samples, cfg)
        return
    with torch.no_grad():
        plain = head.predict(given, samples, {"flip_test": flip})
        preds = head.predict(given, samples, cfg)
    for pred, same in zip(preds, plain, strict=True):
        assert pred.keypoint_covariances.shape == (1, K, 2, 2)
        assert pred.keypoint_covariances.dtype == np.float32
        np.testing.assert_array_equal(pred.keypoints, same.keypoints)
        assert "keypoint_covariances" not in same
        seen = np.asarray(pred.keypoint_scores)[0] > 0
        assert (np.linalg.eigvalsh(pred.keypoint_covariances[0][seen]) > 0).all()


def test_simcc_heads_say_how_sharp_their_loss_is():
    loss = {"type": "KLDiscretLoss", "beta": 3.0, "label_softmax": True}
    head = SimCCHead(8, K, **SIMCC, deconv_out_channels=None, loss=loss, decoder=simcc_codec())
    assert head.covariance_options() == {"beta": 3.0}
    assert HeatmapHead(8, K, None).covariance_options() == {}


@pytest.mark.parametrize("name", ["SiLU", "torch.nn.SiLU", torch.nn.SiLU])
def test_activations_of_gated_attention_may_be_imported_in_a_config(name):
    assert isinstance(RTMCCBlock(4, 8, 8, act_fn=name).act_fn, torch.nn.SiLU)
