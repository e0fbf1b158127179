import numpy as np
import pytest
import torch

from poise.codecs import SPR, AssociativeEmbedding, DecoupledHeatmap
from poise.errors import ConfigError, DataError
from poise.models.estimators import BottomupPoseEstimator
from poise.models.heads import (
    AssociativeEmbeddingHead,
    CIDHead,
    DEKRHead,
    RTMOHead,
    YOLOXPoseHead,
)
from poise.structures import InstanceData, PixelData

K, SIZE = 5, (64, 64)


@pytest.fixture
def people(sample):
    """Factory of samples with two people for one-stage heads."""

    def make(count=2):
        data = sample(num_keypoints=K)
        data.set_metainfo({"input_size": SIZE, "img_shape": SIZE})
        boxes = torch.tensor([[4.0, 4, 30, 60], [34, 4, 60, 60]])[:count]
        corner, size = boxes[:, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None]
        place = torch.rand(count, K, 2, generator=torch.Generator().manual_seed(0))
        data.gt_instance_labels = InstanceData(
            bboxes=boxes,
            labels=torch.zeros(count, dtype=torch.long),
            keypoints=corner + place * size,
            keypoints_visible=torch.ones(count, K),
            areas=torch.full((count,), 1400.0),
        )
        return data

    return make


PARTS = {
    "assigner": {
        "type": "SimOTAAssigner",
        "oks_calculator": {"type": "PoseOKS", "metainfo": None},
    },
    "loss_cls": {"type": "VariFocalLoss", "reduction": "sum", "use_target_weight": True},
    "loss_bbox": {"type": "IoULoss", "reduction": "sum", "mode": "square"},
    "loss_oks": {"type": "OKSLoss", "reduction": "none"},
    "loss_vis": {"type": "BCELoss", "use_target_weight": True, "reduction": "mean"},
    "loss_bbox_aux": {"type": "L1Loss", "reduction": "sum"},
    "use_aux_loss": True,
    "num_keypoints": K,
    "featmap_strides": (8, 16),
    "prior_generator": {"type": "MlvlPointGenerator", "strides": [8, 16]},
}
LAYERS = {"num_classes": 1, "in_channels": 16, "norm_cfg": {"type": "BN"}, "stacked_convs": 1}


@pytest.fixture
def yolox():
    torch.manual_seed(0)
    return YOLOXPoseHead(
        head_module_cfg={**LAYERS, "feat_channels": 8},
        loss_obj={"type": "BCELoss", "use_target_weight": True, "reduction": "sum"},
        **{**PARTS, "loss_cls": {"type": "BCELoss", "reduction": "sum"}},
    )


@pytest.fixture
def rtmo():
    torch.manual_seed(0)
    gau = {"s": 8, "expansion_factor": 2, "pos_enc": "add", "use_rel_bias": False}
    return RTMOHead(
        head_module_cfg={
            **LAYERS,
            "in_channels": 8,
            "cls_feat_channels": 8,
            "num_groups": 2,
            "channels_per_group": 4,
            "pose_vec_channels": 12,
        },
        dcc_cfg={
            "in_channels": 12,
            "feat_channels": 16,
            "num_bins": (24, 32),
            "spe_channels": 8,
            "gau_cfg": gau,
        },
        loss_mle={"type": "MLECCLoss", "use_target_weight": True},
        proxy_target_cc=True,
        **PARTS,
    )


@pytest.fixture
def maps():
    g = torch.Generator().manual_seed(1)
    return [torch.randn(2, 16, side, side, generator=g) for side in (8, 4)]


@pytest.mark.parametrize("name", ["yolox", "rtmo"])
def test_one_stage_heads_learn_and_predict(request, name, maps, people):
    head = request.getfixturevalue(name)
    losses = head.train().loss(maps, [people(2), people(1)])
    shared = {"loss_bbox", "loss_bbox_aux", "loss_vis", "loss_cls", "overlaps"}
    own = {"loss_obj", "loss_kpt"} if name == "yolox" else {"loss_mle", "loss_oks", "num_samples"}
    assert set(losses) == shared | own
    sum(v.mean() for k, v in losses.items() if "loss" in k).backward()
    assert all(p.grad is not None for n, p in head.named_parameters() if "pos_enc" not in n)
    with torch.no_grad():
        preds = head.eval().predict(maps, [people(), people()], {"score_thr": 0.0, "nms_thr": 0.65})
    for pred in preds:
        count = len(pred.scores)
        assert pred.keypoints.shape == (count, K, 2)
        assert (np.diff(pred.scores) <= 0).all()
        assert pred.bboxes.min() >= 0
        assert pred.bboxes.max() <= 64


@pytest.mark.parametrize("name", ["yolox", "rtmo"])
def test_pictures_without_people_teach_that_nobody_is_there(request, name, maps, people):
    head = request.getfixturevalue(name).train()
    losses = head.loss(maps, [people(0), people(0)])
    assert set(losses) <= {"loss_obj", "loss_cls", "num_samples"}
    with torch.no_grad():
        assert len(head.eval().predict(maps, [people()] * 2, {"score_thr": 1.0})[0].scores) == 0


def test_unlabelled_regions_do_not_count(yolox, maps, people):
    from poise.structures import PixelData

    covered = people()
    covered.gt_fields = PixelData(heatmap_mask=torch.ones(1, 64, 64))
    plain = yolox.loss(maps, [people(), people()])["loss_obj"]
    masked = yolox.loss(maps, [covered, covered])["loss_obj"]
    assert masked < plain


def test_deployed_rtmo_predicts_the_same(rtmo, maps, people):
    rtmo.eval()
    with torch.no_grad():
        before = rtmo.predict(maps, [people()] * 2, {"score_thr": 0.0})
        rtmo.dcc.switch_to_deploy()
        after = rtmo.predict(maps, [people()] * 2, {"score_thr": 0.0})
    assert np.allclose(before[0].keypoints, after[0].keypoints, atol=1e-4)


def ae_codec():
    return AssociativeEmbedding(
        SIZE, (16, 16), decode_max_instances=3, decode_keypoint_order=list(range(K))
    )


@pytest.mark.parametrize("restore", [False, True])
@pytest.mark.parametrize("flip", [False, True])
def test_tags_of_both_sides_stand_side_by_side(people, flip, restore):
    torch.manual_seed(0)
    head = AssociativeEmbeddingHead(4, K, deconv_out_channels=None, decoder=ae_codec())
    feats = (torch.randn(1, 4, 16, 16),)
    test_cfg = {
        "flip_test": flip,
        "restore_heatmap_size": restore,
        "output_heatmaps": True,
    }
    preds, fields = head.predict([feats, feats] if flip else feats, [people()], test_cfg)
    side = 64 if restore else 16
    assert fields[0].heatmaps.shape == (K, side, side)
    assert fields[0].tags.shape == (K * (2 if flip else 1), side, side)
    assert preds[0].keypoints.shape[1:] == (K, 2)


@pytest.mark.parametrize("per_keypoint", [False, True])
@pytest.mark.parametrize("shift", [False, True])
def test_maps_of_the_mirror_image_are_mirrored_back(people, per_keypoint, shift):
    swap = [0, 2, 1, 4, 3]
    head = AssociativeEmbeddingHead(4, K, 2, per_keypoint, None, decoder=ae_codec())
    head.forward = lambda feats: feats
    straight, mirrored = (
        (torch.rand(1, K, 4, 6), torch.rand(1, 2 * K if per_keypoint else 2, 4, 6))
        for _ in range(2)
    )
    data = people()
    data.set_metainfo({"flip_indices": swap})
    cfg = {"flip_test": True, "shift_heatmap": shift}
    same, (heatmaps, tags) = head._both_sides((straight, mirrored), [data], cfg)
    assert same is straight
    order = [*swap, *(K + k for k in swap)] if per_keypoint else [0, 1]
    for found, given, channels in ((heatmaps, mirrored[0], swap), (tags, mirrored[1], order)):
        wanted = given[:, channels].flip(-1)
        if shift:
            wanted[..., 1:] = wanted[..., :-1].clone()
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("per_keypoint", [False, True])
def test_tags_are_learned_at_the_keypoints_of_each_picture(people, per_keypoint):
    torch.manual_seed(0)
    head = AssociativeEmbeddingHead(4, K, 1, per_keypoint, None, decoder=ae_codec())
    samples = [people(2), people(1), people(0)]
    for data in samples:
        encoded = ae_codec().encode(data.gt_instance_labels.keypoints.numpy())
        maps = torch.from_numpy(encoded.pop("heatmaps"))
        data.gt_fields = PixelData(heatmaps=maps, heatmap_mask=torch.ones(1, 16, 16))
        data.gt_instance_labels = InstanceData(**encoded).to_tensor()
    samples[0].gt_fields.heatmap_mask[..., 8:] = 0
    feats = (torch.randn(3, 4, 16, 16),)
    losses = head.loss(feats, samples)
    heatmaps, tags = head(feats)
    target = torch.stack([data.gt_fields.heatmaps for data in samples])
    squared = (heatmaps - target) ** 2
    squared[0, ..., 8:] = 0
    assert torch.allclose(losses["loss_kpt"], squared.mean())
    pull = 0
    for data, maps in zip(samples, tags.expand(-1, K, -1, -1).flatten(2), strict=True):
        places = data.gt_instance_labels.keypoint_indices[..., 0]
        own = maps[torch.arange(K), places]
        pull += (own - own.mean(dim=1, keepdim=True)).square().mean(dim=1).sum() / max(len(own), 1)
    assert torch.allclose(losses["loss_pull"], pull, atol=1e-5)
    assert losses["loss_push"] > 0
    del samples[1].gt_instance_labels.keypoint_indices
    with pytest.raises(DataError, match="set PackPoseInputs.extra_mapping_labels="):
        head.loss(feats, samples)


def test_pictures_of_different_sizes_cannot_be_restored_together(people):
    head = AssociativeEmbeddingHead(4, K, deconv_out_channels=None, decoder=ae_codec())
    other = people()
    other.set_metainfo({"img_shape": (32, 64)})
    feats = (torch.randn(2, 4, 16, 16),)
    with pytest.raises(DataError, match="pictures of one size"):
        head.predict(feats, [people(), other], {"restore_heatmap_size": True})


@pytest.mark.parametrize("flip", [False, True])
def test_displacements_lead_to_people(people, flip):
    torch.manual_seed(0)
    codec = SPR(SIZE, (16, 16), sigma=(4, 2), generate_keypoint_heatmaps=True, decode_thr=0.0)
    head = DEKRHead(4, K, 4, 2, decoder=codec).eval()
    feats = (torch.randn(2, 4, 16, 16),)
    test_cfg = {"flip_test": flip, "nms_dist_thr": 0.05, "output_heatmaps": True}
    with torch.no_grad():
        preds, fields = head.predict([feats, feats] if flip else feats, [people()] * 2, test_cfg)
    assert len(preds) == 2
    assert preds[0].keypoints.shape[1:] == (K, 2)
    assert fields[1].displacements.shape == (2 * K, 16, 16)
    with pytest.raises(ConfigError, match="no multi-scale test"):
        head.predict(feats, [people()], {"multiscale_test": True})


@pytest.mark.parametrize(("threshold", "kept"), [(0.0, 2), (0.05, 1)])
def test_people_alike_are_one_where_a_distance_says_so(people, monkeypatch, threshold, kept):
    codec = SPR(SIZE, (16, 16), sigma=(4, 2), generate_keypoint_heatmaps=True)
    head = DEKRHead(4, K, 4, 2, decoder=codec).eval()
    points = torch.arange(2.0 * K).reshape(1, K, 2).repeat(2, 1, 1)
    feats = (torch.randn(1, 4, 16, 16),)
    for count, found in ((2, kept), (0, 0)):
        scores = torch.ones(count), torch.full((count, K), 0.5)
        monkeypatch.setattr(codec, "decode", lambda *_, n=count, s=scores: (points[:n], s))
        (own,) = head.predict(feats, [people()], {"nms_dist_thr": threshold})
        assert own.keypoints.shape == (found, K, 2)


def test_decoupled_keypoints_are_moved_from_corners_to_centres(people, monkeypatch):
    codec = DecoupledHeatmap(SIZE, (8, 16))
    head = CIDHead(4, 6, K, decoder=codec).eval()
    monkeypatch.setattr(
        codec, "decode", lambda maps, _: (np.zeros((*maps.shape[:2], 2)), np.ones(maps.shape[:2]))
    )
    with torch.no_grad():
        (own,) = head.predict((torch.randn(1, 4, 16, 8),), [people()], {"score_threshold": 0.0})
    # half of 64 / 8 and of 64 / 16 pixels of the input
    np.testing.assert_array_equal(np.unique(own.keypoints.reshape(-1, 2), axis=0), [[4.0, 2.0]])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_centres_are_decoupled(people, flip, threshold):
    torch.manual_seed(0)
    codec = DecoupledHeatmap(SIZE, (16, 16))
    head = CIDHead(4, 6, K, decoder=codec).eval()
    feats = (torch.randn(2, 4, 16, 16),)
    test_cfg = {
        "flip_test": flip,
        "max_instances": 3,
        "score_threshold": threshold,
        "output_heatmaps": True,
        "output_covariances": True,
    }
    with torch.no_grad():
        preds, fields = head.predict([feats, feats] if flip else feats, [people()] * 2, test_cfg)
    count = 3 if threshold == 0 else 0
    assert preds[1].keypoint_covariances.shape == (count, K, 2, 2)
    assert preds[1].keypoints.shape == (count, K, 2)
    assert fields[1].heatmaps.shape == (count * K, 16, 16)


def test_scales_are_checked(people):
    class Backbone(torch.nn.Module):
        def forward(self, x):
            return (x[:, :1].expand(-1, 4, -1, -1),)

    head = AssociativeEmbeddingHead(4, K, deconv_out_channels=None, decoder=ae_codec())
    model = BottomupPoseEstimator(Backbone(), head=head, test_cfg={"multiscale_test": True})
    with pytest.raises(DataError, match="multiscale_test needs a list of pictures"):
        model(torch.rand(1, 3, 16, 16), [people()], mode="predict")
    data = people()
    data.set_metainfo({"aug_scales": [2]})
    scales = [torch.rand(1, 3, 16, 16), torch.rand(1, 3, 32, 32)]
    assert "pred_instances" in model(scales, [data], mode="predict")[0]


def test_rtmo_tells_covariances_of_the_mixture_it_learns(rtmo, maps, people):
    head = rtmo.eval()
    cfg = {"score_thr": 0.0, "nms_pre": 6}
    with torch.no_grad():
        plain = head.predict(maps, [people(), people()], cfg)
        preds = head.predict(maps, [people(), people()], {**cfg, "output_covariances": True})
    for own, same in zip(preds, plain, strict=True):
        np.testing.assert_allclose(own.keypoints, same.keypoints, rtol=1e-4, atol=1e-4)
        assert own.keypoint_covariances.shape == (*own.keypoint_scores.shape, 2, 2)
        assert (np.linalg.eigvalsh(own.keypoint_covariances) > 0).all()
        assert "keypoint_covariances" not in same
    # bins alone, and the Laplacian about each of them
    feats, grids = torch.randn(3, 12), torch.zeros(3, 2)
    boxes = torch.tensor([[32.0, 32, 40, 60]]).repeat(3, 1)
    with torch.no_grad():
        x, _ = head.dcc.distributions(feats, boxes, grids)
        bins, _ = head.dcc.bins(boxes)
        places, found = head.dcc.forward_covariances(feats, boxes, grids, torch.full((3,), 900.0))
        scale = 2 * head.dcc.sigma_fc(feats) * 30
    mean = (x * bins[:, None]).sum(-1)
    spread = (x * (bins[:, None] - mean[..., None]) ** 2).sum(-1)
    torch.testing.assert_close(places[..., 0], mean)
    torch.testing.assert_close(found[..., 0, 0], spread + 2 * scale**2)
    assert not found[..., 0, 1].any()


def test_rtmo_without_people_has_empty_covariances(rtmo, maps, people):
    preds = rtmo.eval().predict(maps, [people()] * 2, {"score_thr": 2.0, "output_covariances": 1})
    assert preds[0].keypoint_covariances.shape == (0, K, 2, 2)
