"""Boxes: conversions undo each other, flips go back, overlaps are what geometry says."""

import sys

import numpy as np
import pytest

from poise.errors import DataError
from poise.geometry import (
    bbox_clip_border,
    bbox_corner2xywh,
    bbox_corner2xyxy,
    bbox_cs2xywh,
    bbox_cs2xyxy,
    bbox_overlaps,
    bbox_xywh2corner,
    bbox_xywh2cs,
    bbox_xywh2xyxy,
    bbox_xyxy2corner,
    bbox_xyxy2cs,
    bbox_xyxy2xywh,
    flip_bbox,
)

BOXES = np.array([[10, 20, 40, 80], [0, 0, 7, 3], [5.5, 6.5, 6.5, 9]], np.float32)
SIZE = (100, 90)


@pytest.mark.parametrize("boxes", [BOXES, BOXES[0], BOXES[:0]], ids=["many", "one", "none"])
@pytest.mark.parametrize("padding", [1.0, 1.25])
def test_conversions_undo_each_other(boxes, padding):
    xywh = bbox_xyxy2xywh(boxes)
    assert np.allclose(bbox_xywh2xyxy(xywh), boxes)
    assert np.allclose(bbox_cs2xyxy(*bbox_xyxy2cs(boxes, padding), padding), boxes)
    assert np.allclose(bbox_cs2xywh(*bbox_xywh2cs(xywh, padding), padding), xywh)
    assert np.allclose(bbox_corner2xyxy(bbox_xyxy2corner(boxes)), boxes)
    assert np.allclose(bbox_corner2xywh(bbox_xywh2corner(xywh)), xywh)


def test_center_and_scale_of_a_known_box():
    center, scale = bbox_xyxy2cs(BOXES[0], padding=1.25)
    assert center.tolist() == [25, 50]
    assert scale.tolist() == [37.5, 75]


def test_scores_beside_the_boxes_pass_through():
    scored = np.concatenate((BOXES, [[0.1], [0.2], [0.3]]), axis=1)
    assert bbox_xyxy2xywh(scored)[:, 4].tolist() == [0.1, 0.2, 0.3]


def test_conversions_leave_their_input_alone():
    before = BOXES.copy()
    bbox_xyxy2xywh(BOXES)
    flip_bbox(BOXES, SIZE, "xyxy")
    assert (before == BOXES).all()


def test_flat_corners_are_corners_too():
    corners = bbox_xyxy2corner(BOXES)
    assert np.allclose(bbox_corner2xyxy(corners.reshape(-1, 8)), BOXES)


@pytest.mark.parametrize("direction", ["horizontal", "vertical", "diagonal"])
@pytest.mark.parametrize("form", ["xyxy", "xywh", "center"])
def test_flipping_twice_gives_the_box_back(direction, form):
    boxes = BOXES[:, :2] if form == "center" else BOXES
    once = flip_bbox(boxes, SIZE, form, direction)
    assert np.allclose(flip_bbox(once, SIZE, form, direction), boxes)


def test_a_flipped_xyxy_box_keeps_its_size_and_order():
    assert flip_bbox(BOXES[0], SIZE, "xyxy").tolist() == [59, 20, 89, 80]
    assert flip_bbox(BOXES[0], SIZE, "xyxy", "diagonal").tolist() == [59, 9, 89, 69]


def test_clipping_changes_the_array_itself():
    boxes = np.array([[-5.0, 10, 120, 95]])
    assert bbox_clip_border(boxes, SIZE) is boxes
    assert boxes.tolist() == [[0, 10, 100, 90]]
    points = np.array([[[-1.0, 95.0]]])
    assert bbox_clip_border(points, SIZE).tolist() == [[[0, 90]]]


@pytest.mark.parametrize(
    ("mode", "expected"), [("iou", 25 / 175), ("iof", 25 / 100), ("giou", 25 / 175 - 50 / 225)]
)
def test_overlap_of_two_squares(mode, expected):
    a, b = np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 5, 15, 15]])
    assert bbox_overlaps(a, b, mode)[0, 0] == pytest.approx(expected)
    assert bbox_overlaps(a, b, mode, is_aligned=True).tolist() == pytest.approx([expected])


def test_overlap_of_tensors_stays_a_tensor_and_agrees_with_numpy():
    torch = pytest.importorskip("torch")
    a, b = torch.from_numpy(BOXES), torch.from_numpy(BOXES[::-1].copy())
    for mode in ("iou", "iof", "giou"):
        got = bbox_overlaps(a, b, mode)
        assert isinstance(got, torch.Tensor)
        assert np.allclose(got.numpy(), bbox_overlaps(BOXES, BOXES[::-1], mode))


def test_overlap_of_large_boxes_of_16_bits():
    torch = pytest.importorskip("torch")
    boxes = np.array([[0, 0, 300, 300], [0, 0, 300, 150]], np.float16)
    for kind in (boxes, torch.from_numpy(boxes)):
        for mode in ("iou", "giou"):
            assert bbox_overlaps(kind, kind, mode)[0].tolist() == pytest.approx([1, 0.5])


@pytest.mark.parametrize("empty", [np.zeros((0, 4)), np.zeros((0, 5)), np.zeros(0)])
def test_overlap_with_nothing_is_empty(empty):
    assert bbox_overlaps(empty, BOXES).shape == (0, 3)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: flip_bbox(BOXES, SIZE, direction="horizontl"), "did you mean 'horizontal'"),
        (lambda: flip_bbox(BOXES, SIZE, "xxyy"), "bbox_format must be one of 'xywh'"),
        (lambda: bbox_overlaps(BOXES, BOXES, "dice"), "overlap mode must be one of"),
        (lambda: bbox_overlaps(BOXES, BOXES[:2], is_aligned=True), "of equal number"),
        (lambda: bbox_overlaps(BOXES[:, :3], BOXES), "four numbers"),
        (lambda: bbox_xyxy2xywh(BOXES[:, :3]), "four numbers"),
        (lambda: bbox_corner2xyxy(BOXES), r"\(..., 4, 2\) or \(..., 8\)"),
        (lambda: bbox_cs2xyxy(BOXES[0, :2], BOXES[:, 2:]), "as many axes"),
    ],
)
def test_wrong_arguments_are_explained(call, text):
    with pytest.raises(DataError, match=text):
        call()


def test_geometry_does_not_load_torch():
    import subprocess

    code = (
        "import sys, numpy as np, poise.geometry as g\n"
        "[getattr(g, n) for n in g.__all__ if not n.endswith('Torch')]\n"
        "g.bbox_overlaps(np.ones((1, 4)), np.ones((1, 4)))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
