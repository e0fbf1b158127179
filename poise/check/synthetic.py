"""Made-up data for any config: does a training start, before a data set is downloaded?

Each data set of a config gets an annotation file in its own format, a few people in it, and
pictures with a spot for each keypoint. The readers, the pipeline and the codec are the config's.
"""

from __future__ import annotations

import copy
import itertools
import json
import pickle
import shutil
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poise.check.context import bare_type, datasets_of, metrics_of
from poise.datasets.paths import join_path
from poise.datasets.readers.boxes import DetectionCocoDataset
from poise.errors import ConfigError
from poise.registry import DATASETS, use_scope
from poise.structures.config_metainfo import class_names
from poise.visualization.files import write_picture

__all__ = ["use_synthetic_data"]

#: Pictures of a data set; each shows one person.
COUNT = 16
#: Side of a picture, pixels.
SIDE = 256
#: Fields of COCO-WholeBody beside the body, and how many keypoints each has.
_PARTS = {"foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
#: Keypoints of a data set in its file, where its schema is of a part of them.
_IN_FILE = {"HalpeHandDataset": 136, "UBody3dDataset": 133}
#: Human3.6M names subjects, actions and cameras; frames of each of the two videos.
_VIDEOS = (("S1", "Walking"), ("S9", "Sitting"))
_CAMERA = "54138969"
_FRAMES = 300

Settings = MutableMapping[str, Any]
Rng = np.random.Generator


def use_synthetic_data(cfg: Any, folder: str | Path, *, seed: int = 0) -> Any:
    """Copy of a config whose data sets are made up.

    Args:
        cfg: whole config.
        folder: where pictures and annotation files are written.
        seed: of the pictures.

    Raises:
        ConfigError: a data set whose format is not known here.
    """
    cfg = copy.deepcopy(cfg)
    made = _Maker(Path(folder), seed)
    with use_scope(cfg.get("default_scope") or "mmpose"):
        for split in ("train", "val", "test"):
            dataset = (cfg.get(f"{split}_dataloader") or {}).get("dataset")
            # pipelines of mixtures are above the data sets that read files
            _read_locally(dataset)
            for settings, _ in datasets_of(dataset, ()):
                if "ann_file" in settings:
                    made.replace(settings)
            for settings, _ in metrics_of(cfg.get(f"{split}_evaluator"), ()):
                if settings.get("ann_file"):
                    settings["ann_file"] = made.file_instead_of(settings["ann_file"])
    return cfg


def _read_locally(tree: Any) -> None:
    """Drop the storage that transforms of a pipeline would read pictures from."""
    if isinstance(tree, (list, tuple)):
        for part in tree:
            _read_locally(part)
    elif isinstance(tree, MutableMapping):
        tree.pop("backend_args", None)
        for value in tree.values():
            _read_locally(value)


class _Maker:
    """Writes one annotation file per data set and remembers in whose place it stands."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.rng = np.random.default_rng(seed)
        self._instead: dict[str, str] = {}
        self._numbers = itertools.count()

    def replace(self, settings: Settings) -> None:
        """Write files for one data set, and put their paths into its config."""
        kind = bare_type(settings)
        before = join_path(settings.get("data_root"), settings["ann_file"])
        root = self.folder / f"{next(self._numbers)}_{kind}"
        (root / "images").mkdir(parents=True, exist_ok=True)
        settings.update(data_root=str(root), data_prefix={"img": "images/"})
        reader: Any = DATASETS.get(str(settings["type"]))
        if issubclass(reader, DetectionCocoDataset):
            classes = class_names(settings.get("metainfo")) or ("thing",)
            files = _write_boxes(root, kind, list(classes), self.rng)
        else:
            writer = _WRITERS.get(kind, _write_coco)
            files = writer(root, kind, _keypoints_of(settings, kind), self.rng)
        settings.update({name: file for name, file in files.items() if name in settings})
        # boxes of a detector are of pictures that are not there
        settings.pop("bbox_file", None)
        settings.pop("sample_interval", None)
        settings.pop("indices", None)
        self._instead[before] = str(root / settings["ann_file"])

    def file_instead_of(self, ann_file: str) -> str:
        """The made-up file that stands for one of the config, or the latest one."""
        return self._instead.get(ann_file) or next(reversed(self._instead.values()), ann_file)


def _keypoints_of(settings: Settings, kind: str) -> list[str]:
    """Names of the keypoints that an annotation of the file has."""
    from poise.structures.metainfo import parse_pose_metainfo

    if kind in _IN_FILE:
        return [str(k) for k in range(_IN_FILE[kind])]
    found: Any = DATASETS.get(str(settings["type"]))
    meta = settings.get("metainfo") or getattr(found, "METAINFO", None)
    if not meta and hasattr(found, "subset_metainfo"):
        meta = found.subset_metainfo(settings.get("subset", ""))
    if not meta:
        raise ConfigError(
            f"no made-up data for {kind}: neither its config nor its class says how many "
            "keypoints it has (metainfo)"
        )
    return list(parse_pose_metainfo(meta)["keypoint_id2name"].values())


# ---------------------------------------------------------------------- pictures


def _points(count: int, rng: Rng) -> np.ndarray:
    """`(count, 2)` float64, image space, in the middle of the picture."""
    return rng.uniform(0.25 * SIDE, 0.75 * SIDE, (count, 2)).round(1)


def _write_picture(path: Path, points: np.ndarray, rng: Rng) -> None:
    """A grey picture with a spot of its own colour at each of the `(K, 2)` points."""
    picture = rng.integers(60, 90, (SIDE, SIDE, 3), dtype=np.uint8)
    hues = np.linspace(0, 179, len(points), endpoint=False).astype(np.uint8)
    full = np.full_like(hues, 255)
    colours = cv2.cvtColor(np.stack([hues, full, full], -1)[None], cv2.COLOR_HSV2BGR)[0]
    for (x, y), colour in zip(points, colours.tolist(), strict=True):
        cv2.circle(picture, (int(x), int(y)), 4, colour, -1)
    write_picture(picture, path, order="bgr")


def _image(number: int, **more: Any) -> dict[str, Any]:
    name = f"{number:06d}.jpg"
    return {"id": number, "file_name": name, "width": SIDE, "height": SIDE, **more}


def _box_of(points: np.ndarray) -> list[float]:
    """Xywh around points, with a margin."""
    low, high = points.min(0) - 16, points.max(0) + 16
    return np.concatenate([low, high - low]).round(1).tolist()


def _triples(points: np.ndarray) -> list[float]:
    return np.column_stack([points, np.full(len(points), 2.0)]).ravel().tolist()


# ----------------------------------------------------------------------- formats


def _write_json(path: Path, content: Any) -> str:
    """Write a file; its name."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return path.name


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _write_coco(root: Path, kind: str, names: list[str], rng: Rng) -> dict[str, Any]:
    """COCO's format, with the fields of all its dialects."""
    rule = getattr(DATASETS.get(kind), "rule", None)
    fields = getattr(rule, "keypoints", ("keypoints",))
    body = len(names) - sum(_PARTS.get(f, 0) for f in fields)
    images, annotations = [], []
    for i in range(1, COUNT + 1):
        points = _points(max(body, 1), rng)
        parts = {name: _points(n, rng) for name, n in _PARTS.items()}
        _write_picture(root / "images" / _image(i)["file_name"], points, rng)
        box = _box_of(points)
        row: dict[str, Any] = {"id": i, "image_id": i, "category_id": 1, "iscrowd": 0}
        row |= {
            "bbox": box,
            "area": box[2] * box[3],
            "num_keypoints": len(names),
            "segmentation": [],
        }
        row |= {"keypoints": _triples(points), "keypoints_21": _triples(points)}
        row |= {"center": [SIDE / 2, SIDE / 2], "scale": SIDE / 400, "head_size": 30.0}
        row |= {"box_size": SIDE / 2, "bbox_head": box}
        for name, some in parts.items():
            part = name.removesuffix("_kpts")
            row |= {name: _triples(some), f"{part}_box": _box_of(some), f"{part}_valid": True}
        of_video = {"frame_id": i, "nframes": COUNT, "vid_id": "0", "is_labeled": True}
        images.append(_image(i, crowdIndex=0.1, **of_video))
        annotations.append(row)
    category = {"id": 1, "name": "person", "supercategory": "person", "keypoints": names}
    tree = {"images": images, "annotations": annotations, "categories": [category]}
    return {"ann_file": _write_json(root / "ann.json", tree)}


def _write_boxes(root: Path, kind: str, classes: list[str], rng: Rng) -> dict[str, Any]:
    """COCO's format of boxes, one category after the other."""
    files = _write_coco(root, kind, ["a", "b"], rng)
    tree = _read_json(root / "ann.json")
    tree["categories"] = [{"id": i, "name": name} for i, name in enumerate(classes, 1)]
    for number, row in enumerate(tree["annotations"]):
        row["category_id"] = number % len(classes) + 1
    _write_json(root / "ann.json", tree)
    return files


def _write_posetrack(root: Path, kind: str, names: list[str], rng: Rng) -> dict[str, Any]:
    """COCO's format, and beside it the file of the single video that the metric reads."""
    files = _write_coco(root, kind, names, rng)
    (root / "ann").mkdir()
    shutil.copy(root / "ann.json", root / "ann" / "000001.json")
    return files


def _write_ubody3d(root: Path, kind: str, names: list[str], rng: Rng) -> dict[str, Any]:
    """COCO's format, with places and depths before a camera instead of triples."""
    files = _write_coco(root, kind, names, rng)
    tree = _read_json(root / "ann.json")
    for row in tree["annotations"]:
        points = _points(len(names), rng)
        depth = rng.uniform(2000, 2500, (len(names), 1))
        deep = np.hstack([(points - SIDE / 2) / 500 * depth, depth])
        row |= {"keypoints": points.tolist(), "keypoints_3d": deep.tolist()}
        row["keypoints_valid"] = [1.0] * len(names)
        row["camera_param"] = {"focal": [500, 500], "princpt": [SIDE / 2, SIDE / 2]}
    _write_json(root / "ann.json", tree)
    return files


def _write_mpii(root: Path, kind: str, names: list[str], rng: Rng) -> dict[str, Any]:
    """The JSON of HRNet's authors, and the heads in a MATLAB file."""
    from scipy.io import savemat

    rows = []
    for i in range(1, COUNT + 1):
        points = _points(len(names), rng)
        _write_picture(root / "images" / _image(i)["file_name"], points, rng)
        row = {"image": _image(i)["file_name"], "center": [SIDE / 2] * 2, "scale": SIDE / 200}
        rows.append({**row, "joints": points.tolist(), "joints_vis": [1] * len(names)})
    file = _write_json(root / "ann.json", rows)
    corners = np.zeros((2, 2, COUNT))
    corners[1] = 30.0
    savemat(root / "heads.mat", {"headboxes_src": corners})
    return {"ann_file": file, "headbox_file": str(root / "heads.mat")}


def _write_interhand(root: Path, kind: str, names: list[str], rng: Rng) -> dict[str, Any]:
    """Two hands a metre before a camera."""
    camera = {
        "campos": {"c": [0, 0, 0]},
        "camrot": {"c": np.eye(3).tolist()},
        "focal": {"c": [500, 500]},
        "princpt": {"c": [SIDE / 2, SIDE / 2]},
    }
    images, annotations, joints = [], [], {}
    for i in range(1, COUNT + 1):
        points = _points(len(names), rng)
        _write_picture(root / "images" / _image(i)["file_name"], points, rng)
        depth = rng.uniform(980, 1020, len(names))
        flat = (points - SIDE / 2) / 500 * depth[:, None]
        joints[str(i)] = {"world_coord": np.column_stack([flat, depth]).tolist()}
        images.append(_image(i, capture=0, camera="c", frame_idx=i, subject=0, seq_name="a"))
        row = {"id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "bbox": _box_of(points)}
        row |= {"joint_valid": [[1]] * len(names), "hand_type": "interacting", "hand_type_valid": 1}
        annotations.append(row)
    categories = [{"id": 1, "name": "hand", "supercategory": "hand"}]
    tree = {"images": images, "annotations": annotations, "categories": categories}
    return {
        "ann_file": _write_json(root / "ann.json", tree),
        "camera_param_file": _write_json(root / "camera.json", {"0": camera}),
        "joint_file": _write_json(root / "joint.json", {"0": joints}),
    }


def _write_mocap(root: Path, kind: str, names: list[str], rng: Rng) -> dict[str, Any]:
    """Two videos of a body that sways before a camera five metres away."""
    frames = [
        f"{subject}_{action}.{_CAMERA}_{i:06d}.jpg"
        for subject, action in _VIDEOS
        for i in range(_FRAMES)
    ]
    body = rng.uniform(-0.8, 0.8, (len(names), 3))
    sway = 0.1 * np.sin(np.arange(len(frames)) / 9.0)[:, None, None]
    deep = body + sway + [0, 0, 5]
    flat = 1145 * deep[..., :2] / deep[..., 2:] + 500
    seen = np.ones((len(frames), len(names), 1))
    flat, deep = np.concatenate([flat, seen], -1), np.concatenate([deep, seen], -1)
    np.savez(root / "ann.npz", imgname=np.array(frames), part=flat, S=deep)
    np.save(root / "detected.npy", flat)
    np.save(root / "factor.npy", np.full(len(frames), 4.0))
    lens: dict[str, Any] = {
        "R": np.eye(3),
        "T": np.zeros((3, 1)),
        "c": np.array([[500.0], [500.0]]),
    }
    lens |= {"f": np.array([[1145.0], [1145.0]]), "w": 1000, "h": 1000, "name": _CAMERA}
    lens |= {"k": np.zeros((3, 1)), "p": np.zeros((2, 1)), "id": _CAMERA}
    cameras = {(subject, _CAMERA): lens for subject, _ in _VIDEOS}
    (root / "cameras.pkl").write_bytes(pickle.dumps(cameras))
    return {
        "ann_file": "ann.npz",
        "camera_param_file": "cameras.pkl",
        "keypoint_2d_det_file": "detected.npy",
        "factor_file": "factor.npy",
    }


def _write_h3wb(root: Path, kind: str, names: list[str], rng: Rng) -> dict[str, Any]:
    """A pose in each frame of a video of every subject, four metres before a camera."""
    numbers, action, focal = np.arange(COUNT), "Walking", 1.145
    lens = {
        "K": np.array([[[focal, 0, SIDE / 2000], [0, focal, SIDE / 2000], [0, 0, 1]]]),
        "R": np.eye(3)[None],
        "T": np.zeros((1, 3)),
        "Distortion": np.zeros((1, 5)),
    }
    data: dict[str, Any] = {}
    boxes = {}
    for subject in ("S1", "S5", "S6", "S7"):
        flat = np.stack([_points(len(names), rng) for _ in numbers])
        depth = rng.uniform(3900, 4100, (*flat.shape[:2], 1))
        deep = np.concatenate([(flat - SIDE / 2) / (1000 * focal) * depth, depth], -1)
        views = {_CAMERA: {"pose_2d": flat, "camera_3d": deep}}
        data[subject] = {action: {"frame_id": numbers, **views}}
        folder = root / "original" / subject / "Images" / f"{action}.{_CAMERA}"
        folder.mkdir(parents=True)
        for number, points in zip(numbers, flat, strict=True):
            _write_picture(folder / f"frame_{number}.jpg", points, rng)
            x, y, width, height = _box_of(points)
            box = {"x_min": x, "y_min": y, "x_max": x + width, "y_max": y + height}
            boxes[subject, action, _CAMERA, number] = box
    cameras = {subject: {_CAMERA: lens} for subject in data}
    np.savez(
        root / "ann.npz", train_data=_boxed(data), metadata=_boxed(cameras), bbox=_boxed(boxes)
    )
    return {"ann_file": "ann.npz"}


def _boxed(content: dict[Any, Any]) -> np.ndarray:
    """A dict as an array, which is how H3WB's file holds it."""
    box = np.empty((), dtype=object)
    box[()] = content
    return box


_WRITERS: dict[str, Callable[[Path, str, list[str], Rng], dict[str, Any]]] = {
    "MpiiDataset": _write_mpii,
    "PoseTrack18Dataset": _write_posetrack,
    "InterHand2DDoubleDataset": _write_interhand,
    "InterHand3DDataset": _write_interhand,
    "Human36mDataset": _write_mocap,
    "H36MWholeBodyDataset": _write_h3wb,
    "UBody3dDataset": _write_ubody3d,
}
