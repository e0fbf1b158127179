"""Pose Anything: numbers of MMPose's projects/pose_anything, and what its parts refuse.

`few_shot_figures.json` was written by the project's own classes (commit 759b39c of MMPose, torch
2.14, one thread), built and run with what `small()` and `episode()` give here, and weights of
`fill()`. Of large outputs it has the mean size and eight values.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from poise.errors import ArgumentError, ConfigError, DataError
from poise.models import build_model
from poise.models.backbones import SwinTransformerV2
from poise.models.heads.few_shot import PoseHead, adjacency
from poise.registry import MODELS
from poise.structures import InstanceData, PixelData, PoseDataSample

FIGURES = json.loads((Path(__file__).parent / "few_shot_figures.json").read_text())
CASES = FIGURES["cases"]
SIDE = 64
PLAIN = {"type": "mmengine.BaseDataPreprocessor"}


def small(graph_decoder="pre", upsample="deconv", multi_scale=False, **more):
    backbone = {
        "type": "SwinTransformerV2", "embed_dim": 8, "depths": [1, 2, 1, 1],
        "num_heads": [1, 2, 2, 4], "window_size": 4, "pretrained_window_sizes": [3, 3, 3, 0],
        "drop_path_rate": 0.2, "img_size": SIDE, "upsample": upsample, "multi_scale": multi_scale,
    }  # fmt: skip
    transformer = {
        "type": "EncoderDecoder", "d_model": 16, "nhead": 4, "num_encoder_layers": 2,
        "num_decoder_layers": 3, "graph_decoder": graph_decoder, "dim_feedforward": 24,
        "dropout": 0.1, "similarity_proj_dim": 16, "dynamic_proj_dim": 8, "activation": "relu",
        "normalize_before": False, "return_intermediate_dec": True,
    }  # fmt: skip
    head = {
        "type": "PoseHead", "in_channels": 64, "transformer": transformer,
        "share_kpt_branch": False, "num_decoder_layer": 3, "with_heatmap_loss": True,
        "heatmap_loss_weight": 2.0, "support_order_dropout": -1,
        "positional_encoding": {
            "type": "SinePositionalEncoding", "num_feats": 8, "normalize": True
        },
    }  # fmt: skip
    cfg = {"type": "PoseAnythingModel", "pretrained": "swinv2_tiny", "encoder_config": backbone}
    return cfg | {"keypoint_head": head, "train_cfg": {}, "test_cfg": {"flip_test": False}} | more


def fill(state):
    """Weights that follow from the names of parameters."""
    for key, value in state.items():
        if not value.is_floating_point() or key.endswith(("relative_coords_table", "attn_mask")):
            continue
        rng = np.random.RandomState(zlib.crc32(key.encode()) & 0x7FFFFFFF)
        width = value.shape[1] if value.ndim > 1 else 16
        noise = rng.standard_normal(tuple(value.shape)) / np.sqrt(width)
        if "running_var" in key:
            noise = abs(noise) + 1
        elif "norm" in key and key.endswith("weight"):
            noise = noise + 1
        value.copy_(torch.from_numpy(noise.astype(np.float32)))


def episode(shots, count, seed, batch=2):
    """Pictures, keypoints, heatmaps, weights of queries and shots, and links."""
    rng = np.random.RandomState(seed)

    def maps():
        points = rng.rand(batch, count, 2) * (SIDE - 1)
        y, x = np.mgrid[:16, :16] + 0.5
        far = (x - points[..., 0, None, None] / 4) ** 2 + (y - points[..., 1, None, None] / 4) ** 2
        return points.astype(np.float32), torch.from_numpy(np.exp(-far / 2).astype(np.float32))

    size = (batch, 3, SIDE, SIDE)
    images = [
        torch.from_numpy(rng.standard_normal(size).astype(np.float32)) for _ in range(shots + 1)
    ]
    points, heatmaps = zip(*[maps() for _ in range(shots + 1)], strict=True)
    weights = [
        torch.from_numpy((rng.rand(batch, count, 1) > 0.2).astype(np.float32))
        for _ in range(shots + 1)
    ]
    links = [(i, i + 1) for i in range(count - 2)] + [(0, count - 1)]
    return images, points, heatmaps, weights, [links, [(count - 1, 0), (1, 0)]]


def samples_of(points, heatmaps, weights, links):
    samples = []
    place = {"input_center": np.array([50.0, 40]), "input_scale": np.array([60.0, 60])}
    for b, own in enumerate(links):
        sample = PoseDataSample(metainfo={"skeleton": own, "input_size": (SIDE, SIDE), **place})
        sample.support_heatmaps = torch.stack([maps[b] for maps in heatmaps[1:]])
        sample.support_weights = torch.stack([weight[b] for weight in weights[1:]])
        box = {"bboxes": np.array([[20.0, 10, 80, 70]]), "bbox_scores": np.ones(1)}
        sample.gt_instances = InstanceData(transformed_keypoints=points[0][b][None], **box)
        sample.gt_instance_labels = InstanceData(keypoint_weights=weights[0][b].T)
        sample.gt_fields = PixelData(heatmaps=heatmaps[0][b])
        samples.append(sample)
    return samples


def figures(values):
    flat = values.flatten()
    places = np.linspace(0, flat.numel() - 1, 8).round().astype(int)
    return np.array([float(x) for x in [flat.abs().mean(), *flat[places]]])


def digest(model):
    rows = [f"{key} {'x'.join(map(str, v.shape))}" for key, v in model.state_dict().items()]
    return [len(rows), zlib.crc32("\n".join(rows).encode())]


@pytest.fixture(params=range(len(CASES)), ids=lambda n: str(CASES[n]["graph_decoder"]))
def case(request):
    row = CASES[request.param]
    model = build_model(
        small(row["graph_decoder"], row["upsample"], row["multi_scale"], data_preprocessor=PLAIN)
    ).eval()
    fill(model.state_dict())
    images, *rest = episode(row["shots"], row["keypoints"], request.param)
    return row, model, images, samples_of(*rest)


def test_outputs_are_the_projects(case):
    row, model, images, samples = case
    assert digest(model) == row["keys"]
    with torch.no_grad():
        features = model.extract_feat(images[0])
        points, proposals, similarity = model(images, samples)
    np.testing.assert_allclose(points[-1].flatten(0, 1), row["outputs"], atol=3e-6)
    for name, values in (
        ("features", features),
        ("first", points[0]),
        ("proposals", proposals),
        ("similarity", similarity),
    ):
        np.testing.assert_allclose(figures(values), row[name], rtol=1e-5, atol=2e-5, err_msg=name)


def test_losses_are_the_projects(case):
    row, model, images, samples = case
    with torch.no_grad():
        losses = {key: float(value) for key, value in model(images, samples, mode="loss").items()}
    assert losses == pytest.approx(row["losses"], abs=3e-6)


def test_predictions_are_the_projects_also_after_set_support(case):
    row, model, images, samples = case
    with torch.no_grad():
        found = model(images, samples, mode="predict")[0].pred_instances
        np.testing.assert_allclose(found.keypoints[0], np.array(row["preds"])[:, :2], atol=2e-4)
        assert not model.has_support
        first = samples[0]
        model.set_support(
            [shot[0] for shot in images[1:]],
            first.support_heatmaps,
            first.support_weights.squeeze(-1),
            first.metainfo["skeleton"],
        )
        (again,) = model(images[0][:1], samples[:1], mode="predict")
    assert np.array_equal(found.keypoint_scores[0], first.support_weights.prod(0).squeeze(-1))
    np.testing.assert_allclose(again.pred_instances.keypoints, found.keypoints, atol=1e-4)


def test_the_models_of_the_zoo_has_the_keys_of_the_projects_config():
    with torch.device("meta"):
        assert digest(build_model("pose-anything")) == FIGURES["demo_b"]


def test_names_of_the_projects_other_config_build_the_same_network():
    cfg = small()
    old = {"PoseAnythingModel": "TransformerPoseTwoStage", "PoseHead": "TwoStageHead"}
    old["EncoderDecoder"] = "TwoStageSupportRefineTransformer"
    text = json.dumps(cfg)
    for name, before in old.items():
        text = text.replace(f'"{name}"', f'"{before}"')
    cfg = json.loads(text)
    # as configs/demo.py has them
    cfg["keypoint_head"] |= {
        "support_pos_embed": False,
        "skeleton_loss_weight": 0.02,
        "num_samples": 0,
        "support_embedding_type": "fixed",
        "num_support": 100,
    }
    assert digest(build_model(cfg)) == digest(build_model(small()))


def test_a_few_steps_lower_the_loss():
    torch.manual_seed(0)
    model = build_model(small())
    model.init_weights()
    # branches of the backbone and steps of keypoints start as nothing
    assert not model.backbone.layers[0].blocks[0].norm1.weight.any()
    assert not model.keypoint_head.kpt_branch[0].mlp[-1].weight.any()
    images, *rest = episode(1, 5, 0)
    data = {"inputs": images, "data_samples": samples_of(*rest)}
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    model.train()
    # normalising random numbers as if they were bytes would leave nothing of them
    model.data_preprocessor = MODELS.build(PLAIN)
    losses = [float(model.train_step(data, optimizer)["loss"].detach()) for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]


def test_who_is_absent_is_no_neighbour_and_no_links_are_the_first_keypoint_alone():
    absent = torch.tensor([[False, False, True], [False, False, False]])
    own, near = adjacency([[(0, 1), (1, 2)], []], absent).unbind(1)
    assert torch.equal(own[0], torch.diag(torch.tensor([1.0, 1, 0])))
    assert torch.equal(near[0], torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]]))
    assert torch.equal(near[1], torch.diag(torch.tensor([1.0, 0, 0])))


def test_keypoints_of_nobody_give_numbers(case):
    _, model, images, samples = case
    for sample in samples:
        sample.support_weights.zero_()
    with torch.no_grad():
        losses = model(images, samples, mode="loss")
    assert all(torch.isfinite(value) for value in losses.values())


def test_weights_of_pretraining_are_found_under_their_authors_names(tmp_path):
    source = SwinTransformerV2(64, embed_dim=8, depths=[1, 1], num_heads=[1, 1])
    fill(source.state_dict())
    theirs = {
        f"encoder.{key}".replace("cpb_mlp", "rpe_mlp"): value
        for key, value in source.state_dict().items()
        if not key.startswith("head")
    }
    # of another window
    theirs["encoder.layers.0.blocks.0.attn.relative_coords_table"] = torch.zeros(1, 3, 3, 2)
    torch.save({"model": theirs}, tmp_path / "swin.pth")
    model = build_model(
        small(pretrained=str(tmp_path / "swin.pth"))
        | {"encoder_config": SwinTransformerV2(64, embed_dim=8, depths=[1, 1], num_heads=[1, 1])}
    )
    model.init_weights()
    own = model.backbone.state_dict()
    assert all(torch.equal(own[k], v) for k, v in source.state_dict().items() if "head" not in k)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"pretrained": "dinov2_vits14"}, "would fetch a backbone"),
        ({"keypoint_head": {"num_decoder_layer": 2}}, "less than the transformer's"),
        ({"keypoint_head": {"no_such": 1}}, "no argument no_such"),
        ({"keypoint_head": {"positional_encoding": {"type": "LearnedPositionalEncoding",
                                                    "num_feats": 8}}}, "encodes pixels alone"),
        ({"keypoint_head": {"positional_encoding": {"type": "SinePositionalEncoding",
                                                    "num_feats": 4}}}, "twice the"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(change, text):
    cfg = small()
    for key, value in change.items():
        cfg[key] = cfg[key] | value if isinstance(value, dict) else value
    with pytest.raises(ConfigError, match=text):
        build_model(cfg)


def test_pictures_of_another_size_and_missing_support_are_told():
    model = build_model(small()).eval()
    with pytest.raises(ConfigError, match=r"labelled pictures show, and none were.*--support"):
        model(torch.zeros(1, 3, SIDE, SIDE))
    with pytest.raises(ArgumentError, match="needs `data_samples`"):
        model([torch.zeros(1, 3, SIDE, SIDE)] * 2)
    model.set_support([torch.zeros(3, SIDE, SIDE)], torch.ones(1, 2, 16, 16), torch.ones(1, 2), [])
    with pytest.raises(DataError, match=r"takes \(64, 64\) pixels.*got \(32, 64\)"):
        model(torch.zeros(1, 3, 32, SIDE))


def test_learned_positions_are_a_vector_for_each_row_and_column():
    layer = MODELS.build({"type": "LearnedPositionalEncoding", "num_feats": 4})
    out = layer(torch.zeros(2, 3, 5, dtype=torch.bool))
    assert out.shape == (2, 8, 3, 5)
    assert torch.equal(out[1, :4, 0, 3], layer.col_embed.weight[3])
    assert torch.equal(out[0, 4:, 2, 1], layer.row_embed.weight[2])


def test_one_branch_may_serve_all_steps():
    head = dict(small()["keypoint_head"], share_kpt_branch=True)
    head.pop("type")
    branches = PoseHead(**head).kpt_branch
    assert branches[0] is branches[2]
