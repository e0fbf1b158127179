"""The settings of a released model that own data change: data, head, metrics, course, start."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

from poise import schemas
from poise._words import counted
from poise.check.files import read_annotations
from poise.check.keypoints import KeypointReport
from poise.check.keys import RUN_KEYS
from poise.config import Config
from poise.errors import ConfigError
from poise.training.own_data.files import DataFiles
from poise.training.own_data.schedule import fit_course
from poise.training.run.start import put_start
from poise.zoo.parts.assembly import Tree

__all__ = ["check_model", "finished", "fit_loader", "keep_best", "use_own_data"]

#: arguments by which heads, codecs and networks say for how many keypoints they are
_COUNTS = ("out_channels", "num_joints", "num_keypoints")
#: for average precision where nobody measured how well people annotate these keypoints
ASSUMED_SIGMA = 0.05
PCK_THRESHOLD = 0.05

#: top-level keys that have a meaning of their own; others are variables of the recipe, which would
#: speak of its data still
_KEPT = {*RUN_KEYS, "codec", "custom_imports"}

#: models that find 2D keypoints in pictures -> the mode of their data
_TWO_D = {
    "TopdownPoseEstimator": "topdown",
    "BottomupPoseEstimator": "bottomup",
    "YOLODetector": "bottomup",
}
#: heads of 3D hands, and of ED-Pose, which has no training
_NOT_TRAINED = ("InternetHead", "EDPoseHead")
_MIRRORS = ("RandomFlip", "HandRandomFlip")
_HALVES = ("RandomHalfBody", "RandomBottomupHalfBody")
#: metrics that need nothing but COCO-style annotations
_PLAIN_METRICS = {"CocoMetric", "PCKAccuracy", "AUC", "EPE", "NME"}


def use_own_data(
    cfg: Config,
    files: DataFiles,
    keypoints: KeypointReport,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    devices: int = 1,
    weights: str | None = None,
    start: str | None = None,
) -> tuple[Config, list[str]]:
    """Config that trains a released model on a user's COCO-style data.

    Args:
        cfg: config of the model.
        files: where the data are; with `val_ann`.
        keypoints: who their keypoints are.
        epochs: length of the run; None takes the recipe's.
        batch_size: samples on a device; None takes the recipe's, or fewer for few pictures.
        devices: over which a batch is spread.
        weights: what was asked for as a start, as of `find_start`.
        start: the file that training starts from, or None.

    Returns:
        The changed config, and a sentence about each thing that was decided.

    Raises:
        ConfigError: a model that does not find 2D keypoints in pictures, or a config without
            training.
    """
    check_model(cfg)
    tree: Tree = copy.deepcopy(cfg.to_dict())
    same = _is_same_schema(tree, keypoints)
    said = [*keypoints.said, _fit_head(tree["model"], keypoints)]
    mode = _TWO_D[_kind(tree["model"])]
    if mode == "bottomup" and not keypoints.known:
        keypoints.metainfo["sigmas"] = [ASSUMED_SIGMA] * keypoints.count
        said.append(f"sigmas: {ASSUMED_SIGMA} for every keypoint, assumed for average precision")
    _fit_pipelines(tree, keypoints)
    _put_data(tree, files, keypoints, mode)
    said.append(_put_metrics(tree, files, keypoints, mode, same=same))
    annotations = read_annotations(files.train_ann)["annotations"]
    pictures = [a["image_id"] for a in annotations if _trains(a, mode)]
    samples = len(pictures) if mode == "topdown" else len(set(pictures))
    items = "annotations" if mode == "topdown" else "pictures"
    said += fit_course(tree, samples, items, epochs=epochs, batch_size=batch_size, devices=devices)
    said.append(put_start(tree, start, weights))
    return finished(tree, cfg), said


def _trains(ann: Mapping[str, Any], mode: str) -> bool:
    """Whether an annotation is read: a crop of somebody needs a keypoint, a whole picture none."""
    points = ann.get("keypoints") or []
    return len(points) > 0 and (
        mode == "bottomup" or (any(points[2::3]) and not ann.get("iscrowd"))
    )


def check_model(cfg: Mapping[str, Any] | Config) -> None:
    """See that a model can be trained on a user's 2D keypoints.

    Raises:
        ConfigError: it is of another kind, or its config has no training.
    """
    model = cfg.get("model") or {}
    kind, head = _kind(model), _kind(_head(model))
    if kind not in _TWO_D or head in _NOT_TRAINED:
        raise ConfigError(
            f"own COCO-style data can train models that find 2D keypoints in pictures; this one "
            f"is a {head if kind in _TWO_D else kind}. Choose another model, or write a config"
        )
    if "train_dataloader" not in cfg or "optim_wrapper" not in cfg:
        raise ConfigError("this config has no training; choose another model (`poise zoo list`)")


def _head(model: Mapping[str, Any]) -> Any:
    """Settings of the head, which detectors call otherwise."""
    return model.get("head") or model.get("bbox_head") or {}


def _is_same_schema(tree: Tree, keypoints: KeypointReport) -> bool:
    from poise.structures.config_metainfo import dataset_meta_of

    meta = dataset_meta_of(tree)
    return meta is not None and list(meta["keypoint_id2name"].values()) == keypoints.names


def _fit_head(model: Tree, keypoints: KeypointReport) -> str:
    """Put the number of keypoints and the schema wherever the model names them."""
    head = _head(model)
    old = _count_of(head)
    new = keypoints.count
    parts = [head]
    if model["backbone"]["type"].endswith("CPM"):
        # each stage has a map of every keypoint
        parts.append(model["backbone"])
    for part in parts:
        _replace_counts(part, old, new)
    for name in ("metainfo", "output_keypoint_indices"):
        model.pop(name, None)
        if model.get("test_cfg"):
            model["test_cfg"].pop(name, None)
    _replace_schemas([head, model.get("train_cfg")], keypoints.metainfo)
    if not keypoints.mirrored and model.get("test_cfg"):
        model["test_cfg"]["flip_test"] = False
    if new == old:
        return f"head: {counted(new, 'keypoint')}, as before"
    return f"head: {counted(new, 'keypoint')} instead of {old}; its last layer starts anew"


def _count_of(head: Mapping[str, Any]) -> int:
    head = head.get("pose_cfg") or head.get("head_module") or head
    number = next(head[key] for key in _COUNTS if key in head)
    # the combined targets of UDP have three maps a keypoint
    combined = (head.get("decoder") or {}).get("heatmap_type") == "combined"
    return number // 3 if combined else number


def _replace_counts(part: Any, old: int, new: int) -> None:
    if isinstance(part, list):
        for item in part:
            _replace_counts(item, old, new)
    elif isinstance(part, dict):
        if _kind(part) == "KeypointOHKMMSELoss":
            # so many of the hardest keypoints count
            part["topk"] = min(part.get("topk", 8), new)
        # points of the face count less in whole-body losses, by their numbers
        if new != old:
            for key in ("mask", "mask_weight"):
                part.pop(key, None)
        for key, value in part.items():
            if key in _COUNTS and value in (old, 3 * old) and value:
                part[key] = value // old * new
            elif key == "in_channels" and value == old and _kind(part) == "CPMHead":
                part[key] = new
            _replace_counts(value, old, new)


def _replace_schemas(part: Any, metainfo: Tree) -> None:
    """Losses and assigners by object keypoint similarity know the sigmas."""
    if isinstance(part, list):
        for item in part:
            _replace_schemas(item, metainfo)
    elif isinstance(part, dict):
        if _kind(part) == "SimOTAAssigner":
            part.setdefault("oks_calculator", dict(type="PoseOKS", metainfo=""))
        for key, value in part.items():
            if key == "metainfo":
                part[key] = metainfo.get("from_file", metainfo)
            else:
                _replace_schemas(value, metainfo)


def _fit_pipelines(part: Any, keypoints: KeypointReport) -> None:
    """Drop from every pipeline what these keypoints cannot go through."""
    dropped = {*(() if keypoints.known else _HALVES), *(() if keypoints.mirrored else _MIRRORS)}
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        if isinstance(value, list):
            kept = [s for s in value if not (isinstance(s, dict) and _kind(s) in dropped)]
            if len(kept) < len(value):
                part[key] = value = kept
        if isinstance(value, (dict, list)):
            _fit_pipelines(value, keypoints)


def _kind(step: Mapping[str, Any]) -> str:
    return str(step.get("type", "")).rpartition(".")[2]


def _pipeline(tree: Tree, part: str) -> Any:
    """Pipeline of a part's dataset; of a mixture the one behind its members'."""
    dataset = tree[f"{part}_dataloader"]["dataset"]
    found = dataset.get("pipeline") or tree.get(f"{part}_pipeline")
    if not found:
        raise ConfigError(f"{part}_dataloader.dataset has no pipeline to put own data through")
    return found


def _put_data(tree: Tree, files: DataFiles, keypoints: KeypointReport, mode: str) -> None:
    for part, places in files.of_parts():
        loader = tree[f"{part}_dataloader"]
        loader["dataset"] = dict(
            type="CocoDataset",
            data_mode=mode,
            **places,
            metainfo=keypoints.metainfo,
            pipeline=_pipeline(tree, part),
            **({} if part == "train" else dict(test_mode=True)),
        )
        fit_loader(loader, part)
    for hook in tree.get("custom_hooks") or ():
        if "new_train_dataset" in hook:
            data = dict(tree["train_dataloader"]["dataset"])
            hook["new_train_dataset"] = data | dict(pipeline=hook["new_train_pipeline"])


def fit_loader(loader: Tree, part: str) -> None:
    """As many workers as there are cores for, and in training samples in a random order."""
    loader["num_workers"] = min(loader.get("num_workers", 0), os.cpu_count() or 1)
    loader["persistent_workers"] = loader["num_workers"] > 0
    if part == "train":
        # samplers of mixtures draw from several sources
        loader["sampler"] = dict(type="DefaultSampler", shuffle=True)
        loader.pop("batch_sampler", None)


def keep_best(tree: Tree, figure: str) -> None:
    """Let a figure, of which more is better, choose the best checkpoint."""
    hooks = tree.setdefault("default_hooks", {})
    keep = hooks.setdefault("checkpoint", dict(type="CheckpointHook"))
    keep |= dict(save_best=figure, rule="greater")


def finished(tree: Tree, cfg: Config) -> Config:
    """The changed tree of a config as a config, without the recipe's variables."""
    kept = {key: value for key, value in tree.items() if key in _KEPT}
    return Config(kept, cfg_text="", filename=cfg.filename)


def _put_metrics(
    tree: Tree, files: DataFiles, keypoints: KeypointReport, mode: str, *, same: bool
) -> str:
    coco = dict(type="CocoMetric", ann_file=files.judged)
    old = tree["val_evaluator"]
    old = old if isinstance(old, list) else [old]
    if same and all(_kind(metric) in _PLAIN_METRICS for metric in old):
        metrics = [m | coco if _kind(m) == "CocoMetric" else m for m in old]
        best = None
    else:
        known = keypoints.known and schemas.get(keypoints.metainfo["from_file"])["sigmas"]
        pck = [dict(type="PCKAccuracy", thr=PCK_THRESHOLD), dict(type="AUC"), dict(type="EPE")]
        metrics = [coco] if mode == "bottomup" else [*pck, *([coco] if known else ())]
        best = "coco/AP" if mode == "bottomup" else "PCK"
    tree["val_evaluator"] = tree["test_evaluator"] = metrics
    if best is not None:
        keep_best(tree, best)
    names = ", ".join(_kind(metric) for metric in metrics)
    decides = tree["default_hooks"]["checkpoint"].get("save_best") or "none"
    return f"metrics: {names}; the best checkpoint is chosen by {decides}"
