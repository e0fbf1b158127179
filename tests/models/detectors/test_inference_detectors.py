"""R-CNNs, SSDLite and YOLOv3: layers, raw outputs and boxes, compared with MMDetection's."""

import copy
import importlib.util
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from poise.errors import ConfigError, UnknownNameError
from poise.models import build_model
from poise.models.detectors import (
    AnchorGenerator,
    DeltaXYWHBBoxCoder,
    RoIAlign,
    SingleRoIExtractor,
    SSDAnchorGenerator,
    YOLOAnchorGenerator,
    YOLOBBoxCoder,
)
from poise.registry import MODELS, use_scope
from poise.structures import PoseDataSample

FIGURES = json.loads((Path(__file__).parent / "inference_figures.json").read_text())
SMALL = FIGURES["small"]


def built(kind, **more):
    """The detector of few channels that figures are of."""
    with use_scope("mmdet"):
        return MODELS.build({**copy.deepcopy(SMALL[kind]["model"]), **more}).eval()


def flat(out):
    return [out] if isinstance(out, torch.Tensor) else [t for part in out for t in flat(part)]


def sample(shape=(128, 150), scale=(0.5, 0.5)):
    return PoseDataSample(metainfo={"img_shape": shape, "scale_factor": scale})


def rows_of(state):
    rows = [f"{key} {'x'.join(map(str, value.shape))}" for key, value in state.items()]
    return [len(rows), zlib.crc32("\n".join(rows).encode())]


@pytest.fixture(scope="module")
def inputs(shared):
    """The reference's deterministic weights and pictures."""
    path = shared / "golden" / "inputs.py"
    spec = importlib.util.spec_from_file_location("golden_inputs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", FIGURES["released"])
def test_state_dict_has_mmdetections_keys_and_shapes_in_its_order(name):
    with torch.device("meta"):
        assert rows_of(build_model(name).state_dict()) == FIGURES["released"][name]


@pytest.mark.parametrize("kind", SMALL)
def test_outputs_and_boxes_are_mmdetections(kind, inputs):
    row, model = SMALL[kind], built(kind)
    assert rows_of(model.state_dict()) == row["state_dict"]
    inputs.fill_model(model.state_dict(), to_tensor=torch.from_numpy)
    for key, value in model.named_parameters():
        for part, gain in row["gains"].items():
            if part in key and key.endswith("weight") and value.ndim > 1:
                # boxes and scores that differ
                value.data.mul_(gain)
    x = torch.from_numpy(inputs.image_tensor("detector", 1, 3, 128, 160))
    with torch.inference_mode():
        raw = flat(model(x))
        (found,) = model(x, [sample()], mode="predict")
    for values, expected in zip(raw, row["raw"], strict=True):
        places = torch.linspace(0, values.numel() - 1, 8).round().long()
        figures = [values.abs().mean(), *values.flatten()[places]]
        np.testing.assert_allclose(figures, expected, rtol=1e-4, atol=1e-4 * expected[0])
    instances = found.pred_instances
    assert len(instances) == row["count"]
    table = torch.cat((instances.bboxes, instances.scores[:, None], instances.labels[:, None]), 1)
    expected = torch.tensor(row["boxes"])
    torch.testing.assert_close(table[: len(expected), 4], expected[:, 4], rtol=1e-4, atol=1e-5)
    assert torch.cdist(expected, table, p=torch.inf).min(1).values.max() < 2e-2


@pytest.mark.parametrize("kind", SMALL)
def test_a_picture_in_which_nothing_is_has_no_boxes(kind):
    model = built(kind)
    model.last_head.test_cfg["score_thr"] = 1.0
    with torch.inference_mode():
        (found,) = model(torch.zeros(1, 3, 64, 96), [sample((64, 96))], mode="predict")
    assert found.pred_instances.bboxes.shape == (0, 4)


def test_no_proposal_is_no_box():
    model = built("CascadeRCNN")
    model.rpn_head.test_cfg["min_bbox_size"] = 1e6
    with torch.inference_mode():
        (found,) = model(torch.zeros(1, 3, 64, 96), [sample((64, 96))], mode="predict")
    assert found.pred_instances.bboxes.shape == (0, 4)


def test_each_picture_of_a_batch_has_its_own_boxes():
    torch.manual_seed(0)
    model = built("FasterRCNN")
    model.last_head.test_cfg["score_thr"] = 0.0
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        both = model(x, [sample((64, 96)), sample((64, 96), (0.5, 0.25))], mode="predict")
        (alone,) = model(x[1:], [sample((64, 96), (1.0, 1.0))], mode="predict")
    boxes = both[1].pred_instances.bboxes
    expected = alone.pred_instances.bboxes * torch.tensor([2.0, 4, 2, 4])
    torch.testing.assert_close(boxes, expected, atol=1e-2, rtol=1e-4)
    assert not torch.equal(boxes, both[0].pred_instances.bboxes)


def test_files_with_a_head_for_masks_load_strictly():
    state = built("MaskRCNN").state_dict()
    state["roi_head.mask_head.convs.0.conv.weight"] = torch.zeros(8, 16, 3, 3)
    built("MaskRCNN").load_state_dict(state, strict=True)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        built("FasterRCNN").load_state_dict(state, strict=True)


@pytest.mark.parametrize("kind", SMALL)
def test_training_is_refused_with_the_name_of_what_trains(kind):
    text = r"(FasterRCNN|MaskRCNN|CascadeRCNN|SSDHead|YOLOV3Head) is a detector for prediction"
    with pytest.raises(ConfigError, match=f"{text} .*poise train rtmdet-m"):
        built(kind)(torch.zeros(1, 3, 64, 64), [sample()], mode="loss")


def test_anchors_lie_around_corners_and_middles_of_cells():
    plain = AnchorGenerator([8], [0.25, 1.0], [2.0])
    (boxes,) = plain.grid_priors([(1, 2)], device="cpu")
    assert boxes.tolist() == [[-16, -4, 16, 4], [-8, -8, 8, 8], [-8, -4, 24, 4], [0, -8, 16, 8]]
    assert plain.num_base_priors == [2]
    octaves = AnchorGenerator([8], [1.0], octave_base_scale=4, scales_per_octave=2)
    widths = [float(box[2] - box[0]) for box in octaves.base_anchors[0]]
    assert widths == pytest.approx([32, 32 * 2**0.5])
    yolo = YOLOAnchorGenerator([16], [[(10, 20)]])
    assert yolo.base_anchors[0].tolist() == [[3, -2, 13, 18]]
    ssd = SSDAnchorGenerator([16], [[4]], [10], [40], scale_major=False)
    sides = [(box[2:] - box[:2]).tolist() for box in ssd.base_anchors[0]]
    assert sides == [[10, 10], [20, 20], [20, 5], [5, 20]]


def test_scales_are_said_once():
    with pytest.raises(ConfigError, match="takes `scales`, or `octave_base_scale`"):
        AnchorGenerator([8], [1.0])
    with pytest.raises(ConfigError, match="expected min_sizes and max_sizes, got None and None"):
        SSDAnchorGenerator([8], [[2]])
    with pytest.raises(ConfigError, match="has 1 strides, but 2 feature maps came"):
        AnchorGenerator([8], [1.0], [1.0]).grid_priors([(1, 1), (1, 1)], device="cpu")


def test_moves_shift_and_grow_boxes_within_limits():
    box, coder = torch.tensor([[0.0, 0, 10, 20]]), DeltaXYWHBBoxCoder(target_stds=(0.1, 0.1, 1, 1))
    moved = coder.decode(box, torch.tensor([[10.0, 0, float(np.log(2)), 0]]))
    torch.testing.assert_close(moved, torch.tensor([[5.0, 0, 25, 20]]))
    assert coder.decode(box, torch.tensor([[10.0, 0, float(np.log(2)), 0]]), (15, 12)).tolist() == [
        [5, 0, 12, 15]
    ]
    huge = coder.decode(box, torch.tensor([[0.0, 0, 100, -100]]))[0]
    assert float(huge[2] - huge[0]) == pytest.approx(10 * 62.5)
    assert float(huge[3] - huge[1]) == pytest.approx(20 / 62.5, rel=1e-4)
    clamped = DeltaXYWHBBoxCoder(add_ctr_clamp=True, ctr_clamp=3, clip_border=False)
    assert clamped.decode(box, torch.tensor([[5.0, 0, 0, 0]]), (5, 5)).tolist() == [[3, 0, 13, 20]]
    yolo = YOLOBBoxCoder().decode(box, torch.tensor([[1.0, 0.5, 0, 0]]), 16)
    assert yolo.tolist() == [[8, 0, 18, 20]]


def test_large_boxes_are_looked_up_in_coarse_maps():
    layer = {"type": "mmcv.RoIAlign", "output_size": 2}
    extractor = SingleRoIExtractor(layer, 1, [4, 8, 16, 32])
    sides = torch.tensor([0.0, 50, 111, 113, 225, 449, 5000])
    rois = torch.zeros(7, 5)
    rois[:, 3:] = sides[:, None]
    assert extractor.levels(rois).tolist() == [0, 0, 0, 1, 2, 3, 3]
    maps = [torch.full((1, 1, 64 // s, 64 // s), float(s)) for s in (1, 2, 4, 8)]
    found = extractor(maps, rois)
    assert found.shape == (7, 1, 2, 2)
    assert found[3].flatten().tolist() == [2] * 4


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (lambda: RoIAlign(7, pool_mode="max"), ConfigError, "pools by 'avg' alone, got pool_mode"),
        (
            lambda: MODELS.build({"type": "mmdet.RPNHead", "in_channels": 8, "num_classes": 3}),
            ConfigError,
            "things of one class, got num_classes=3",
        ),
        (
            lambda: MODELS.build(
                {
                    "type": "mmdet.SSDNeck",
                    "in_channels": [8],
                    "out_channels": [8, 4],
                    "level_strides": [2],
                    "level_paddings": [1],
                }
            ),
            ConfigError,
            "is that of SSDLite: expected l2_norm_scale=None, got 20.0",
        ),
        (
            lambda: MODELS.build(
                {
                    "type": "mmdet.SSDNeck",
                    "in_channels": [8],
                    "out_channels": [4, 4],
                    "level_strides": [2],
                    "level_paddings": [1],
                    "l2_norm_scale": None,
                }
            ),
            ConfigError,
            "out_channels should begin with in_channels",
        ),
        (lambda: MODELS.build({"type": "mmdet.SSDHead"}), ConfigError, "needs anchor_generator"),
        (
            lambda: MODELS.build({"type": "mmdet.Darknet", "depth": 19}),
            UnknownNameError,
            "invalid depth 19 for Darknet; there are 53",
        ),
        (
            lambda: MODELS.build(
                {
                    "type": "mmdet.YOLOV3Neck",
                    "num_scales": 2,
                    "in_channels": [8],
                    "out_channels": [8],
                }
            ),
            ConfigError,
            "should have num_scales=2 numbers",
        ),
        (
            lambda: MODELS.build(
                {
                    **SMALL["CascadeRCNN"]["model"]["roi_head"],
                    "type": "mmdet.CascadeRoIHead",
                    "bbox_head": [],
                }
            ),
            ConfigError,
            "a list of num_stages=3, got 0",
        ),
        (
            lambda: MODELS.build({"type": "mmdet.StandardRoIHead", "shared_head": {"type": "x"}}),
            ConfigError,
            "StandardRoIHead has no shared_head here",
        ),
    ],
)
def test_what_is_not_there_is_refused(change, kind, text):
    with use_scope("mmdet"), pytest.raises(kind, match=text):
        change()
