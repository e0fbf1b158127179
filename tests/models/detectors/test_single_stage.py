"""RTMDet and YOLOX: layers, raw outputs and boxes, compared with MMDetection's figures."""

import importlib.util
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from poise.errors import ArgumentError, ConfigError
from poise.models import build_model
from poise.models.detectors.dense import DistancePointBBoxCoder, keep_best
from poise.registry import MODELS, use_scope
from poise.structures import PoseDataSample

FIGURES = json.loads((Path(__file__).parent / "mmdet_figures.json").read_text())
COMPUTED = [
    pytest.param(name, marks=pytest.mark.slow if "_m_" in name else ())
    for name, row in FIGURES.items()
    if "raw" in row
]


def flat(out):
    if isinstance(out, torch.Tensor):
        return [out]
    return [t for part in out for t in flat(part)]


def small(kind, **more):
    """A detector of few channels."""
    net = {"deepen_factor": 0.167, "widen_factor": 0.125}
    neck = {"in_channels": [32, 64, 128], "out_channels": 8, "num_csp_blocks": 1}
    head = {"num_classes": 3, "in_channels": 8, "feat_channels": 8, "stacked_convs": 2, **more}
    if kind == "RTMDet":
        head = {"type": "RTMDetSepBNHead", "with_objectness": False, **head}
        parts = {"type": "CSPNeXt", **net}, {"type": "CSPNeXtPAFPN", **neck}
    else:
        head = {"type": "YOLOXHead", **head}
        parts = {"type": "CSPDarknet", **net}, {"type": "YOLOXPAFPN", **neck}
    rule = {"score_thr": 0.0, "nms": {"type": "nms", "iou_threshold": 0.5}, "max_per_img": 5}
    torch.manual_seed(0)
    with use_scope("mmdet"):
        cfg = {"backbone": parts[0], "neck": parts[1], "bbox_head": head, "test_cfg": rule}
        return MODELS.build({"type": kind, **cfg}).eval()


def sample(shape=(64, 96), scale=(1.0, 1.0)):
    return PoseDataSample(metainfo={"img_shape": shape, "scale_factor": scale})


@pytest.fixture(scope="module")
def inputs(shared):
    """The reference's deterministic weights and pictures."""
    path = shared / "golden" / "inputs.py"
    spec = importlib.util.spec_from_file_location("golden_inputs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", FIGURES)
def test_state_dict_has_mmdetections_keys_and_shapes_in_its_order(name):
    with torch.device("meta"):
        state = build_model(name).state_dict()
    rows = [f"{key} {'x'.join(map(str, value.shape))}" for key, value in state.items()]
    assert [len(rows), zlib.crc32("\n".join(rows).encode())] == FIGURES[name]["state_dict"]


@pytest.mark.parametrize("name", COMPUTED)
def test_outputs_and_boxes_are_mmdetections(name, inputs):
    row, model = FIGURES[name], build_model(name)
    inputs.fill_model(model.state_dict(), to_tensor=torch.from_numpy)
    for key, value in model.named_parameters():
        if "rtm_cls" in key and key.endswith("weight"):
            # scores that are not all 1
            value.data.mul_(0.02)
    model.eval()
    x = torch.from_numpy(inputs.image_tensor("detector", 1, 3, 128, 160))
    with torch.inference_mode():
        raw = flat(model(x))
        (found,) = model(x, [sample((128, 150), (0.5, 0.5))], mode="predict")
    assert len(raw) == len(row["raw"])
    for values, expected in zip(raw, row["raw"], strict=True):
        places = torch.linspace(0, values.numel() - 1, 8).round().long()
        figures = [values.abs().mean(), *values.flatten()[places]]
        np.testing.assert_allclose(figures, expected, rtol=1e-4, atol=1e-4 * expected[0])
    instances = found.pred_instances
    assert len(instances) == row["count"]
    table = torch.cat((instances.bboxes, instances.scores[:, None], instances.labels[:, None]), 1)
    expected = torch.tensor(row["boxes"])
    torch.testing.assert_close(table[:6, 4], expected[:, 4], rtol=1e-4, atol=0)
    # some scores differ in the last digit only, so that their order is another machine's
    assert torch.cdist(expected, table, p=torch.inf).min(1).values.max() < 1e-2


@pytest.mark.parametrize("kind", ["RTMDet", "YOLOX"])
def test_boxes_come_in_image_space_best_first_and_apart(kind):
    model = small(kind)
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        plain = model(x, [sample(), sample()], mode="predict")
        scaled = model(x, [sample(), sample(scale=(0.5, 0.25))], mode="predict")
    first, second = (found[1].pred_instances for found in (plain, scaled))
    assert len(first) == 5
    assert (first.scores.diff() <= 0).all()
    torch.testing.assert_close(second.bboxes, first.bboxes * torch.tensor([2.0, 4, 2, 4]))
    assert plain[0].pred_instances.scores.tolist() != first.scores.tolist()


@pytest.mark.parametrize("kind", ["RTMDet", "YOLOX"])
def test_an_untrained_network_is_sure_of_nothing(kind):
    model = small(kind)
    model.init_weights()
    with torch.inference_mode():
        (found,) = model(torch.randn(1, 3, 64, 96), [sample()], mode="predict")
    assert found.pred_instances.scores.max() < 0.02


def test_levels_of_rtmdet_share_convolutions_but_no_statistics():
    head = small("RTMDet").bbox_head
    assert head.cls_convs[0][1].conv is head.cls_convs[2][1].conv
    assert head.cls_convs[0][1].bn is not head.cls_convs[2][1].bn
    own = small("RTMDet", share_conv=False).bbox_head
    assert own.cls_convs[0][1].conv is not own.cls_convs[2][1].conv
    with pytest.raises(ConfigError, match="cannot share depthwise convolutions"):
        small("RTMDet", use_depthwise=True)


def test_objectness_of_rtmdet_is_a_geometric_mean():
    head = small("RTMDet", with_objectness=True).bbox_head
    feats = [torch.randn(1, 8, s, s) for s in (8, 4, 2)]
    with torch.inference_mode():
        both = head(feats)[0][0].sigmoid()
        objectness = head.rtm_obj[0](head.reg_convs[0][1](head.reg_convs[0][0](feats[0])))
        classes = head.rtm_cls[0](head.cls_convs[0][1](head.cls_convs[0][0](feats[0])))
    torch.testing.assert_close(both, (objectness.sigmoid() * classes.sigmoid()).sqrt())


def test_classes_do_not_suppress_one_another_unless_asked():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [5, 5, 5, 9]])
    scores = torch.tensor([0.5, 0.9, 0.7, 0.8])
    labels = torch.tensor([0, 1, 0, 0])
    rule = {"type": "nms", "iou_threshold": 0.6}
    cfg = {"min_bbox_size": 0, "nms": rule, "max_per_img": 10}
    assert keep_best(boxes, scores, labels, cfg).tolist() == [1, 2, 0]
    agnostic = {**cfg, "nms": {**rule, "class_agnostic": True}}
    assert keep_best(boxes, scores, labels, agnostic).tolist() == [1, 2]
    assert keep_best(boxes, scores, labels, {**cfg, "max_per_img": 1}).tolist() == [1]
    with pytest.raises(ConfigError, match="know the type 'nms' only, got 'soft_nms'"):
        keep_best(boxes, scores, labels, {"nms": {"type": "soft_nms"}})


def test_files_that_carry_the_means_load_strictly():
    model = small("RTMDet")
    state = model.state_dict() | {"data_preprocessor.mean": torch.zeros(3, 1, 1)}
    model.load_state_dict(state, strict=True)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        model.load_state_dict(state | {"bbox_head.more": torch.zeros(1)}, strict=True)


def test_distances_give_boxes_that_end_at_the_border():
    coder = DistancePointBBoxCoder()
    points, sides = torch.tensor([[10.0, 20.0]]), torch.tensor([[12.0, 5, 3, 100]])
    assert coder.decode(points, sides).tolist() == [[-2, 15, 13, 120]]
    assert coder.decode(points, sides, (64, 12)).tolist() == [[0, 15, 12, 64]]


def test_modes_that_need_samples_say_so():
    with pytest.raises(ArgumentError, match="mode='predict' needs `data_samples`"):
        small("YOLOX")(torch.zeros(1, 3, 64, 64), mode="predict")


@pytest.mark.parametrize("kind", ["RTMDet", "YOLOX"])
def test_half_precision_is_finite(kind):
    with torch.inference_mode():
        outs = flat(small(kind).bfloat16()(torch.zeros(1, 3, 64, 64).bfloat16()))
    assert all(o.dtype == torch.bfloat16 and o.isfinite().all() for o in outs)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "way"), [("RTMDet", "export"), ("YOLOX", "compile")])
def test_raw_outputs_fit_in_one_graph(kind, way):
    torch.compiler.reset()
    model, x = small(kind, stacked_convs=1), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        if way == "export":
            run = torch.export.export(model, (x,)).module()
        else:
            run = torch.compile(model, backend="eager", fullgraph=True)
        torch.testing.assert_close(flat(run(x)), flat(model(x)), atol=1e-4, rtol=1e-4)
