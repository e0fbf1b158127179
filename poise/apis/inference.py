"""A model from a config and a checkpoint, and poses in one picture."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise.config import Config
from poise.errors import ArgumentError, DataError, one_of
from poise.geometry.boxes import bbox_xywh2xyxy
from poise.inference.networks.crops import Crop, crop_maker, read_test_pipeline
from poise.inference.sources.pictures import Picture, read_picture, to_bgr

__all__ = [
    "collect_multi_frames",
    "dataset_meta_from_config",
    "inference_bottomup",
    "inference_topdown",
    "init_model",
    "pixels_of",
    "present_device",
]

_LOG = logging.getLogger(__name__)


def dataset_meta_from_config(config: Any, dataset_mode: str = "train") -> dict[str, Any] | None:
    """Parsed schema of one of a config's datasets; None where the config has none.

    Args:
        config: whole config.
        dataset_mode: "train", "val" or "test".

    Raises:
        DataError: another mode.
    """
    from poise.structures.config_metainfo import dataset_meta_of

    one_of(dataset_mode, ("train", "val", "test"), "dataset_mode", DataError)
    loader = f"{dataset_mode}_dataloader"
    found = config.get(loader)
    return None if found is None else dataset_meta_of({loader: found})


def init_model(
    config: Any,
    checkpoint: str | os.PathLike[str] | None = None,
    device: Any = "cuda:0",
    cfg_options: Mapping[str, Any] | None = None,
) -> Any:
    """Model that is ready to use, with `cfg` and `dataset_meta`.

    The schema is the checkpoint's; else that of the config's training data (or test data);
    else COCO's, with a warning.

    Args:
        config: path of a config file, a model name, or a `Config`, which is not changed.
        checkpoint: path or URL; None leaves the weights as they start, except for models whose
            weights are on this machine by their name.
        device: where the model goes; the CPU where CUDA is asked for and absent.
        cfg_options: changes of the config, such as {"model.test_cfg.flip_test": False}.

    Raises:
        ArgumentError: `config` is none of these.
        CheckpointError: weights that cannot be read or do not fit.
    """
    from poise.models.build import build_with_weights
    from poise.zoo import default_weights, load_config

    if not isinstance(config, (str, os.PathLike, Config)):
        raise ArgumentError(
            f"config must be a file name, a model name or a Config, got {type(config).__name__}"
        )
    if checkpoint is None and isinstance(config, (str, os.PathLike)):
        checkpoint = default_weights(os.fspath(config))
    config = load_config(config).copy()
    if cfg_options is not None:
        config.merge_from_dict(cfg_options)
    config.model.train_cfg = None
    model, described = build_with_weights(config, checkpoint)
    if not described:
        known = dataset_meta_from_config(config) or getattr(model, "dataset_meta", None)
        model.dataset_meta = known or _coco_meta()
    model.cfg = config
    return model.to(present_device(device)).eval()


def _coco_meta() -> dict[str, Any]:
    from poise.structures import parse_pose_metainfo

    _LOG.warning(
        "neither the checkpoint nor the config says what the keypoints are; COCO's are assumed"
    )
    return parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})


def present_device(device: Any) -> Any:
    """The device, or the CPU where there is no CUDA."""
    import torch

    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        _LOG.warning("there is no CUDA device here; the model runs on the CPU")
        return torch.device("cpu")
    return torch.device(device)


def inference_topdown(
    model: Any,
    img: np.ndarray | str | os.PathLike[str],
    bboxes: Sequence[Any] | np.ndarray | None = None,
    bbox_format: str = "xyxy",
) -> list[Any]:
    """Pose in each box of a picture.

    Args:
        model: of `init_model`.
        img: path, or pixels (H, W, 3) in BGR order; grey and BGRA pictures are converted.
        bboxes: (N, 4), pixels of the picture. None: the whole picture is one box. No boxes
            (N = 0) give no samples.
        bbox_format: "xyxy" or "xywh".

    Returns:
        N samples with `pred_instances`: `keypoints` (1, K, 2), image space, `keypoint_scores`
        (1, K), `bboxes`.

    Raises:
        DataError: another format, boxes of another shape or without finite numbers, an
            unreadable picture.
        FileMissingError: no such picture.
    """
    image, path = pixels_of(img)
    crops = [
        Crop(image, box, 1.0, path or "the picture", path)
        for box in _boxes(bboxes, bbox_format, image)
    ]
    if not crops:
        return []
    return _predict(model, crops)


def inference_bottomup(model: Any, img: np.ndarray | str | os.PathLike[str]) -> list[Any]:
    """Poses of everybody in a picture, by a model that takes whole pictures.

    Args:
        model: of `init_model`; the test settings of its config hold (flip test, scales).
        img: path, or pixels (H, W, 3) in BGR order.

    Returns:
        One sample with `pred_instances`: `keypoints` (N, K, 2), image space,
        `keypoint_scores` (N, K).
    """
    image, path = pixels_of(img)
    return _predict(model, [Crop(image, None, 1.0, path or "the picture", path)])


def _predict(model: Any, crops: Sequence[Crop]) -> list[Any]:
    import torch

    make_batch = crop_maker(read_test_pipeline(model.cfg), model.dataset_meta)
    with torch.no_grad():
        return list(model.test_step(make_batch(crops)))


def pixels_of(img: Any) -> tuple[np.ndarray, str | None]:
    """Picture (H, W, 3) BGR, and its path where it has one."""
    if isinstance(img, (str, os.PathLike)):
        path = os.fspath(img)
        return read_picture(Picture(path, Path(path), Path(path))), path
    if isinstance(img, np.ndarray) and img.dtype.kind == "f" and img.shape[2:] == (3,) and img.size:
        # the network normalises floats, too
        return img, None
    if isinstance(img, np.ndarray) or hasattr(img, "convert"):
        return to_bgr(img), None
    raise DataError(
        f"img must be a path or a numpy array (H, W, 3) in BGR order, got {type(img).__name__}"
    )


def _boxes(bboxes: Any, bbox_format: str, image: np.ndarray) -> np.ndarray:
    """(N, 4) xyxy."""
    one_of(bbox_format, ("xyxy", "xywh"), "bbox_format", DataError)
    if bboxes is None:
        height, width = image.shape[:2]
        return np.array([[0, 0, width, height]], np.float32)
    boxes = np.asarray(bboxes)
    if boxes.size == 0:
        return np.zeros((0, 4), np.float32)
    if boxes.ndim != 2 or boxes.shape[1] < 4:
        raise DataError(f"bboxes must have the shape (N, 4), got {boxes.shape}")
    if boxes.dtype.kind not in "iuf" or not np.isfinite(boxes[:, :4]).all():
        raise DataError(f"bboxes must be finite numbers, got {boxes.tolist()!r:.200}")
    return bbox_xywh2xyxy(boxes[:, :4]) if bbox_format == "xywh" else boxes[:, :4]


def collect_multi_frames(
    video: Sequence[Any], frame_id: int, indices: Sequence[int], online: bool = False
) -> list[Any]:
    """A frame and its neighbours, for models that see several frames.

    Args:
        video: frames by index, such as a list.
        frame_id: of the frame in question; it comes first.
        indices: offsets of the neighbours; 0 is left out.
        online: never look ahead of `frame_id`.

    Returns:
        1 + neighbours frames; beyond an end of the video its last frame stands in.
    """
    last = frame_id if online else len(video) - 1
    places = [min(max(frame_id + offset, 0), last) for offset in indices if offset != 0]
    return [video[place] for place in (frame_id, *places)]
