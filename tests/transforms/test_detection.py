"""Steps of detectors' training pipelines: boxes follow the pixels, and draws can be repeated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from poise import load_config
from poise.datasets import DetectionCocoDataset
from poise.errors import ArgumentError, ConfigError, DataError
from poise.models.preprocessors import BatchSyncRandomResize
from poise.registry import DATASETS, TRANSFORMS
from poise.registry.scope import use_scope
from poise.structures import InstanceData, PoseDataSample
from poise.transforms import (
    CachedMixUp,
    CachedMosaic,
    Compose,
    DetectionFilterAnnotations,
    DetectionMixUp,
    DetectionMosaic,
    LoadAnnotations,
    PackDetInputs,
    RandomResize,
)

#: colour of the thing of each class in the drawn pictures
COLOURS = ((0, 0, 255), (0, 255, 0), (255, 0, 0))
LOAD: list[dict[str, Any]] = [
    {"type": "mmcv.LoadImageFromFile"},
    {"type": "mmdet.LoadAnnotations", "with_bbox": True},
]

Make = Callable[..., DetectionCocoDataset]


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A COCO file of six pictures with a coloured thing of each class; the last has none."""
    images, anns = [], []
    for i in range(6):
        height, width = 60 + 10 * i, 120 - 10 * i
        picture = np.full((height, width, 3), 128, np.uint8)
        for label, colour in enumerate(COLOURS if i < 5 else ()):
            x, y = 5 + 20 * label, 8 + 3 * i
            cv2.rectangle(picture, (x, y), (x + 9, y + 14), colour, -1)
            ann = {"id": len(anns) + 1, "image_id": i, "category_id": label, "bbox": [x, y, 10, 15]}
            anns.append(ann | {"iscrowd": int(label == 2 and i == 0)})
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture)
        images.append({"id": i, "file_name": f"{i}.png", "width": width, "height": height})
    categories = [
        {"id": label, "name": name} for label, name in enumerate(("red", "green", "blue"))
    ]
    content = {"images": images, "annotations": anns, "categories": categories}
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    return str(tmp_path / "boxes.json")


@pytest.fixture
def make(file: str) -> Make:
    """`make(*steps, **arguments)`: a data set of that file which loads and goes these steps."""

    def build(*steps: Any, **arguments: Any) -> DetectionCocoDataset:
        folder = {"img": str(Path(file).parent)}
        pipeline = [*LOAD, *steps]
        return DetectionCocoDataset(file, data_prefix=folder, pipeline=pipeline, **arguments)

    return build


def assert_boxes_fit(results: dict[str, Any], tolerance: float = 2.5) -> None:
    """Each box is filled with pixels in the colour of its class, to its borders."""
    for box, label in zip(results["bbox"], results["bbox_label"], strict=True):
        left, top, right, bottom = box.round().astype(int)
        part = results["img"][top:bottom, left:right].astype(int)
        # blending halves the colours, on grey or on another thing
        strong = part[..., COLOURS[label].index(255)] > part.min(-1) + 40
        if not part.size or min(part.shape[:2]) < 4:
            continue
        rows, columns = np.flatnonzero(strong.any(1)), np.flatnonzero(strong.any(0))
        spans = (rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1)
        assert np.allclose(spans, (bottom - top, right - left), atol=tolerance)


RECIPES = ["rtmdet-nano-person", "rtmdet-tiny", "rtmdet-m", "yolox-tiny", "yolox-face"]


@pytest.mark.parametrize("name", RECIPES)
def test_training_pipelines_of_released_detectors_give_samples(name: str, file: str) -> None:
    config = load_config(name).to_dict()
    wrapper = config["train_dataloader"]["dataset"]
    inner = wrapper.get("dataset", wrapper)
    inner |= {"ann_file": file, "data_root": "", "data_prefix": {"img": str(Path(file).parent)}}
    inner.pop("metainfo", None)
    with use_scope(config["default_scope"]):
        dataset = DATASETS.build(wrapper)
    np.random.seed(1)
    side = 320 if "nano" in name else 640
    for sample in (dataset[i] for i in range(3)):
        found = sample["data_samples"]
        assert sample["inputs"].shape == (3, side, side)
        assert found.img_shape == (side, side)
        boxes = torch.cat([found.gt_instances.bboxes, found.ignored_instances.bboxes])
        assert boxes.dtype == torch.float32
        assert found.gt_instances.labels.dtype == torch.int64
        assert ((boxes >= 0) & (boxes <= side)).all()


STEPS = {
    "cached mosaic": [{"type": "mmdet.CachedMosaic", "img_scale": (100, 100)}],
    "cached mixup": [
        {"type": "mmdet.Resize", "scale": (120, 120), "keep_ratio": True},
        {"type": "mmdet.CachedMixUp", "img_scale": (120, 120), "pad_val": (114, 114, 114)},
    ],
    "resize and crop": [
        {"type": "mmcv.RandomResize", "scale": (200, 200), "ratio_range": (0.5, 2.0)}
        | {"keep_ratio": True, "resize_type": "mmdet.Resize"},
        {"type": "mmdet.RandomCrop", "crop_size": (100, 100), "allow_negative_crop": True},
    ],
    "flip": [{"type": "mmdet.RandomFlip", "prob": 1.0, "direction": "diagonal"}],
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_boxes_follow_their_things(make: Make, steps: list[Any]) -> None:
    dataset = make(*steps)
    for seed in range(8):
        np.random.seed(seed)
        results = dataset.prepare_data(seed % 5)
        assert len(results["bbox"]) == len(results["bbox_label"]) == len(results["ignore_flag"])
        assert_boxes_fit(results)


@pytest.mark.parametrize("steps", [STEPS["cached mosaic"], STEPS["cached mixup"]])
def test_a_sample_follows_from_its_seed_and_not_from_those_before(
    make: Make, steps: list[Any]
) -> None:
    pictures = []
    for earlier in (0, 3):
        dataset = make(*steps)
        for i in range(earlier):
            dataset.prepare_data(i)
        np.random.seed(5)
        pictures.append(dataset.prepare_data(1)["img"])
    np.testing.assert_array_equal(*pictures)


def test_other_pictures_pass_the_steps_before(make: Make) -> None:
    seen: list[Any] = []

    def mark(results: dict[str, Any]) -> dict[str, Any]:
        seen.append(results["img_id"])
        return results | {"img": np.full((50, 50, 3), len(seen), np.uint8)}

    mosaic = CachedMosaic(img_scale=(50, 50), center_ratio_range=(1.0, 1.0), max_cached_images=9)
    results = make(mark, mosaic).prepare_data(2)
    assert len(seen) == 4
    corners = results["img"][[0, 0, -1, -1], [0, -1, 0, -1], 0]
    assert corners.tolist() == [1, 2, 3, 4]


def test_a_picture_that_is_dropped_on_the_way_is_replaced(make: Make) -> None:
    def first_only(results: dict[str, Any]) -> dict[str, Any] | None:
        return results if results["img_id"] == 0 else None

    np.random.seed(0)
    mixed = make(first_only, CachedMixUp((120, 60))).prepare_data(0)
    np.testing.assert_array_equal(np.unique(mixed["bbox_label"]), [0, 1, 2])
    with pytest.raises(DataError, match="pre_transform of CachedMixUp dropped sample"):
        make(_only_once(), CachedMixUp()).prepare_data(0)


def _only_once() -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    rest = iter([True])
    return lambda results: results if next(rest, False) else None


def test_mosaic_drops_what_is_cut_off(make: Make) -> None:
    step = DetectionMosaic(img_scale=(100, 100))
    step._get_center = lambda: (10, 10)  # type: ignore[method-assign]
    dataset = make()
    results = dataset.prepare_data(0)
    others = [dataset.prepare_data(i) for i in (1, 2, 3)]
    results = step.apply_mix(results | {"mixed_data_list": others})
    assert results["img_shape"] == (200, 200)
    # of the picture top left, nothing but its right lower corner is seen
    assert len(results["bbox"]) < 12
    assert (results["bbox"][:, 2:] > results["bbox"][:, :2]).all()


def test_mixup_looks_for_a_picture_with_boxes(make: Make) -> None:
    dataset = make()
    np.random.seed(0)
    drawn = [DetectionMixUp()._draw(dataset)[0] for _ in range(40)]
    assert 5 not in drawn
    assert any(DetectionMixUp(max_iters=1)._draw(dataset)[0] == 5 for _ in range(100))


def test_random_sizes_lie_between_the_limits(make: Make) -> None:
    with use_scope("mmdet"):
        free = RandomResize([(50, 90), (80, 60)])
        kept = RandomResize((100, 200), ratio_range=(0.5, 1.5), keep_ratio=True)
    sizes = np.array([free._random_scale() for _ in range(200)])
    assert sizes.min(0).tolist() == [50, 60]
    assert sizes.max(0).tolist() == [80, 90]
    ratios = np.array([kept._random_scale() for _ in range(50)]) / [100, 200]
    assert ((ratios > 0.48) & (ratios < 1.5)).all()
    results = make(kept).prepare_data(0)
    assert results["img_shape"] == results["img"].shape[:2]
    with pytest.raises(ConfigError, match="ratio_range=\\(low, high\\), or two sizes"):
        RandomResize((100, 200))


def test_small_boxes_are_filtered(make: Make) -> None:
    results = make().prepare_data(0)
    results["bbox"][1, 2] = results["bbox"][1, 0] + 4
    kept = DetectionFilterAnnotations(min_gt_bbox_wh=(5, 5))(dict(results))
    assert kept["bbox_label"].tolist() == [0, 2]
    assert DetectionFilterAnnotations(min_gt_bbox_wh=(50, 5))(dict(results)) is None
    empty = DetectionFilterAnnotations(min_gt_bbox_wh=(50, 5), keep_empty=False)(dict(results))
    assert empty["bbox"].shape == (0, 4)
    with pytest.raises(ConfigError, match="there are no masks"):
        DetectionFilterAnnotations(by_mask=True)


def test_crowds_are_packed_apart(make: Make) -> None:
    sample = make(PackDetInputs()).prepare_data(0)["data_samples"]
    assert sample.gt_instances.labels.tolist() == [0, 1]
    assert sample.ignored_instances.bboxes.tolist() == [[45, 8, 55, 23]]
    assert "gt_instances" not in PackDetInputs()({"img": np.zeros((4, 4, 3))})["data_samples"]


def test_people_of_pose_data_sets_are_boxes_of_one_class() -> None:
    hand = {"bbox": np.zeros((1, 4), np.float32), "keypoints": np.zeros((1, 21, 2))}
    results = LoadAnnotations(with_bbox=True)(hand | {"category_id": 3})
    assert results["bbox_label"].tolist() == [0]
    assert not results.keys() & {"keypoints", "category_id"}


def test_a_batch_of_another_size_takes_its_boxes_along() -> None:
    resize = BatchSyncRandomResize((64, 64), interval=1)
    boxes = InstanceData(bboxes=torch.tensor([[8.0, 4.0, 16.0, 8.0]]), labels=torch.zeros(1))
    sample = PoseDataSample(metainfo={"img_shape": (32, 32)}, gt_instances=boxes)
    sample.ignored_instances = boxes.clone()
    resize(torch.zeros(1, 3, 32, 32), [])
    inputs, _ = resize(torch.zeros(1, 3, 32, 32), [sample])
    assert inputs.shape[-2:] == sample.img_shape == (64, 64)
    assert sample.gt_instances.bboxes.tolist() == [[16, 8, 32, 16]]
    assert sample.ignored_instances.bboxes.tolist() == [[16, 8, 32, 16]]


@pytest.mark.parametrize(
    ("step", "options", "text"),
    [
        (DetectionMosaic, {"bbox_clip_border": False}, "leave out bbox_clip_border=False"),
        (CachedMosaic, {"max_cached_images": 3}, "max_cached_images >= 4, got 3"),
        (CachedMixUp, {"max_cached_images": 1}, "max_cached_images >= 2, got 1"),
    ],
)
def test_options_that_cannot_be_are_refused(step: Any, options: Any, text: str) -> None:
    with pytest.raises((ArgumentError, ConfigError), match=text):
        step(**options)


def test_names_of_mmdetection_lead_to_the_steps() -> None:
    names = "CachedMixUp CachedMosaic FilterAnnotations MixUp Mosaic RandomCrop RandomFlip"
    assert None not in [TRANSFORMS.get(f"mmdet.{name}") for name in names.split()]
    assert Compose([]).transforms == []
