"""Of a network that says nothing of itself: what its config says, or the files beside it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from poise._words import counted
from poise.codecs.simcc_3d_label import DEFAULT_FOCAL
from poise.errors import ConfigError
from poise.inference.networks.crops import pipeline_config
from poise.inference.networks.direct3d import SPACE_CAMERA
from poise.runtimes import Levels, read_detail, read_pipeline
from poise.runtimes.mmdeploy import Deployed
from poise.structures.config_metainfo import dataset_meta_of
from poise.structures.metainfo import parse_pose_metainfo
from poise.zoo import load_config, models

__all__ = ["Form", "by_config", "by_files", "by_name"]

_LOG = logging.getLogger(__name__)

#: Number of keypoints -> the schema that models of so many have most often.
_USUAL = {
    17: "coco",
    21: "coco_wholebody_hand",
    26: "halpe26",
    68: "300w",
    98: "wflw",
    106: "lapa",
    133: "coco_wholebody",
}
#: Of all top-down models but a few.
_IMAGENET = Levels((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), rgb=True)
#: Of models of whole pictures.
_AS_THEY_ARE = Levels((0, 0, 0), (1, 1, 1), rgb=False)
#: Of models that see whole pictures, where nothing says it.
_SCORE_THRESHOLD = 0.1
#: Doubles are suppressed in the file, so nobody is left out by number.
_EVERYBODY = 10_000
_GREY = (114, 114, 114)


class Form(NamedTuple):
    """What a network takes and gives; None for what its file leaves open.

    Attributes:
        kind: as in the metadata of exported files: "topdown", "topdown3d" or "people".
        outputs: their names, in the order in which they are read.
        size: width and height of the input.
        keypoints: K.
        bins: of the SimCC vectors of x.
    """

    kind: str
    outputs: tuple[str, ...]
    size: tuple[int | None, int | None]
    keypoints: int | None
    bins: int | None = None


#: Metadata as exported files have it, and how levels become inputs.
Origin = tuple[dict[str, Any], Levels]


def by_config(path: Path, form: Form, config: Any) -> Origin:
    """What a whole config says of a file.

    Args:
        path: the file.
        form: what it takes and gives.
        config: name of a model, path of a config file, or a `Config`.

    Raises:
        ConfigError: it is of another model, or does not say enough.
    """
    tree = load_config(config)
    network = tree.get("model") or {}
    head = network.get("head") or {}
    about: dict[str, Any] = {
        "kind": form.kind,
        "dataset_meta": dataset_meta_of(tree),
        "default_scope": tree.get("default_scope"),
        "pipeline": pipeline_config(tree),
    }
    if form.kind == "people":
        about["select"] = _select((network.get("test_cfg") or {}).get("score_thr"))
    else:
        about["codec"] = (head.get("pose_cfg") or head).get("decoder")
    if form.kind == "topdown3d":
        kind = str(head.get("type")).rpartition(".")[2]
        about |= {"head": kind, "space_3d": SPACE_CAMERA, "focal": DEFAULT_FOCAL}
    _check_fits(path, about, form, config)
    given = network.get("data_preprocessor") or {}
    mean, std = given.get("mean") or (0, 0, 0), given.get("std") or (1, 1, 1)
    return about, Levels(mean, std, bool(given.get("bgr_to_rgb", False)))


def _check_fits(path: Path, about: Mapping[str, Any], form: Form, config: Any) -> None:
    codec, meta = about.get("codec"), about["dataset_meta"]
    if meta is None or (codec is None and form.kind != "people"):
        lacks = "whose keypoints they are" if meta is None else "how outputs are decoded"
        raise ConfigError(f"{config} does not say {lacks}, so '{path}' cannot be used with it")
    if form.keypoints not in (None, meta["num_keypoints"]):
        raise ConfigError(
            f"'{path}' has {counted(form.keypoints, 'keypoint')}, but {config} has "
            f"{meta['num_keypoints']}: "
            "the file is of another model"
        )
    vectors = {"SimCCLabel": 2, "SimCC3DLabel": 3}
    wanted = vectors.get(str((codec or {}).get("type")).rpartition(".")[2], 1)
    if codec is not None and len(form.outputs) != wanted:
        raise ConfigError(
            f"'{path}' gives {' and '.join(form.outputs)}, but {config} decodes by "
            f"{codec.get('type')}: the file is of another model"
        )
    size = (codec or {}).get("input_size") or _fitted_size(about["pipeline"])
    if size and any(n not in (None, m) for n, m in zip(form.size, size, strict=False)):
        raise ConfigError(
            f"'{path}' takes pictures of {form.size[0]} x {form.size[1]}, but {config} ones of "
            f"{size[0]} x {size[1]} (width x height): the file is of another model"
        )


def _fitted_size(pipeline: Sequence[Mapping[str, Any]]) -> Sequence[int]:
    """Width and height of the whole pictures of a test pipeline; empty where it has none."""
    return next((step["input_size"] for step in pipeline if "input_size" in step), ())


def _select(score_threshold: float | None) -> dict[str, Any]:
    """Who is a person among what a file gives, which has suppressed doubles."""
    return {
        "score_threshold": _SCORE_THRESHOLD if score_threshold is None else score_threshold,
        "iou_threshold": None,
        "candidates": _EVERYBODY,
        "in_image": False,
    }


def by_name(path: Path, form: Form) -> Origin | None:
    """What the config of a released model says, if a file's name is that of its weights.

    Or the name of one of its folders, or what `detail.json` beside it names.

    Raises:
        DataError: a `detail.json` of another form.
    """
    known = {Path(m.weights).stem: m.name for m in models().values() if m.weights}
    known |= {name: name for name in models()}
    for text in (*read_detail(path), path.name, *map(str, path.absolute().parents)):
        name = known.get(Path(text).stem)
        if name is None:
            continue
        try:
            found = by_config(path, form, name)
        except ConfigError as error:
            _LOG.warning("%s; so '%s' is not heeded", error, text)
            continue
        _LOG.info("%s is taken for %s, by its name", path, name)
        return found
    return None


def by_files(path: Path, form: Form) -> Origin:
    """What `pipeline.json` beside a file says, and what most models have in common.

    Raises:
        ConfigError: that is not enough.
        DataError: a `pipeline.json` of another form.
    """
    if form.kind == "topdown3d":
        raise ConfigError(f"'{path}' has keypoints in 3D, and nothing says which; {_hint(path)}")
    said = read_pipeline(path)
    usual = _AS_THEY_ARE if said or form.kind == "people" else _IMAGENET
    steps, decoding, levels = said or Deployed({}, {}, usual)
    about: dict[str, Any] = {"kind": form.kind, "dataset_meta": _usual_meta(path, form)}
    if form.kind == "people":
        size = _known_size(path, form, ())
        about["select"] = _select(decoding.get("score_thr"))
        fit = {"type": "BottomupResize", "input_size": size, "pad_val": _GREY}
        about["pipeline"] = [{"type": "LoadImage"}, fit, {"type": "PackPoseInputs"}]
    else:
        # folders were released whose transforms have a size that is not the network's
        size = _known_size(path, form, decoding.get("input_size") or ())
        about["codec"] = _codec(path, form, size, decoding)
        padding = steps.get("TopDownGetBboxCenterScale", {}).get("padding", 1.25)
        udp = bool(steps.get("TopDownAffine", {}).get("use_udp", False))
        about["pipeline"] = [
            {"type": "LoadImage"},
            {"type": "GetBBoxCenterScale", "padding": padding},
            {"type": "TopdownAffine", "input_size": size, "use_udp": udp},
            {"type": "PackPoseInputs"},
        ]
    return about, levels or usual


def _usual_meta(path: Path, form: Form) -> dict[str, Any]:
    """Schema that the number of keypoints suggests."""
    name = _USUAL.get(form.keypoints or 0)
    if name is None:
        number = "an unknown number of keypoints"
        if form.keypoints is not None:
            number = counted(form.keypoints, "keypoint")
        raise ConfigError(f"'{path}' has {number}, and nothing says which; {_hint(path)}")
    _LOG.warning(
        "%s has %d keypoints and does not say which; they are taken for those of %s. If they are "
        "others, %s",
        path,
        form.keypoints,
        name,
        _hint(path),
    )
    return parse_pose_metainfo({"from_file": name})


def _hint(path: Path) -> str:
    return (
        "give the config of its model, a file or a name: --model CONFIG.py --weights "
        f"{path.name} (in Python Inferencer('CONFIG.py', '{path.name}'))"
    )


def _known_size(path: Path, form: Form, decoded: Sequence[int]) -> tuple[int, int]:
    """Width and height of the input: the network's own, else the decoder's."""
    width, height = form.size if None not in form.size else (*decoded, None, None)[:2]
    if width is None or height is None:
        raise ConfigError(
            f"'{path}' takes pictures of any size, and nothing says which is right; {_hint(path)}"
        )
    return width, height


def _codec(
    path: Path, form: Form, size: tuple[int, int], decoding: Mapping[str, Any]
) -> dict[str, Any]:
    """Config of the codec that decodes a top-down network's outputs."""
    from poise.registry import KEYPOINT_CODECS

    given = {**decoding, "input_size": size}
    if len(form.outputs) == 2:
        # a gaussian's width does not matter where vectors are read without DARK
        given = {"sigma": 6.0, **given, "type": "SimCCLabel"}
        if form.bins is not None:
            given["simcc_split_ratio"] = form.bins / size[0]
    maker: Any = KEYPOINT_CODECS.get(str(given.get("type")))
    if maker is None:
        raise ConfigError(
            f"nothing says how the outputs of '{path}' become keypoints: there is no pipeline.json "
            f"of MMDeploy beside it; {_hint(path)}"
        )
    taken = {"type", *inspect.signature(maker).parameters}
    return {key: value for key, value in given.items() if key in taken}
