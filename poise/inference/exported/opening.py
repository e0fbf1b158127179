"""Exported files in the place of torch models, and the network that each kind of file is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from poise.config import Config
from poise.errors import ConfigError
from poise.inference.exported.cache import export_cached
from poise.inference.exported.deployed import deployed_session
from poise.inference.exported.fetched import local_network
from poise.inference.exported.maps import ExportedMaps
from poise.inference.exported.people import ExportedPeople, PictureSteps
from poise.inference.exported.topdown import ExportedTopdown
from poise.inference.exported.topdown_3d import ExportedTopdown3D
from poise.inference.networks.crops import PipelineCrops, WarpCrops, read_test_pipeline
from poise.inference.networks.heat import warn_without_heatmaps
from poise.inference.networks.modes import Mode
from poise.inference.networks.network import Network
from poise.inference.networks.topdown import TopdownNetwork, covariance_options
from poise.inference.results.calibration import Calibration
from poise.runtimes import is_exported_name, open_session
from poise.structures.metainfo import restore_metainfo

__all__ = ["exported_network", "is_exported", "load_exported"]


def is_exported(model: Any) -> bool:
    """Whether a model is the path of an exported file.

    Raises:
        ConfigError: the half of an exported network that is not opened by itself.
    """
    if not isinstance(model, (str, os.PathLike)):
        return False
    network = Path(model).with_suffix(".param")
    if Path(model).suffix.lower() == ".bin" and network.is_file():
        raise ConfigError(f"{model} holds the weights of an NCNN network; give {network} instead")
    return is_exported_name(model) or Path(model).suffix.lower() == ".zip"


def exported_network(
    model: Any,
    crops: Any,
    *,
    runtime: str,
    flip_test: bool | None,
    mode: Mode,
    heatmaps: bool = False,
    covariances: bool = False,
) -> Network:
    """Network of a model that `load_exported` gave, or of a torch model, exported where needed.

    Raises:
        ConfigError: a model that cannot be exported, a flip test that would need torch, or
            covariances of what has none.
    """
    if hasattr(model, "session"):
        if flip_test:
            raise ConfigError("an exported file has no flip test; load the model itself for that")
        return _network_of(model, crops, heatmaps=heatmaps, covariances=covariances)
    cfg = dict(model.test_cfg or {})
    flips = cfg.get("flip_test", False) if flip_test is None else flip_test
    if not isinstance(crops, WarpCrops) or not TopdownNetwork.suits(model, cfg):
        if flips:
            raise ConfigError(
                f"backend='{runtime}' runs this {type(model).__name__} without flip test only; "
                "give flip_test=False (--no-flip-test), or backend='torch'"
            )
        found = load_exported(export_cached(model), runtime, half=mode.half)
        return _network_of(found, crops, heatmaps=heatmaps, covariances=covariances)
    options = covariance_options(model.head) if covariances else None
    session = open_session(export_cached(model), runtime, half=mode.half)
    unflip = _unflip_by(model.head, dict(crops.constants), cfg) if flips else None
    return ExportedTopdown(
        session, crops, model.head.decoder, unflip, heatmaps=heatmaps, covariances=options
    )


def _network_of(model: Any, crops: Any, *, heatmaps: bool, covariances: bool) -> Network:
    """Network of a file.

    Raises:
        ConfigError: covariances of a kind of file, or of a codec, that has none.
    """
    if not covariances:
        return _NETWORKS[model.kind](model, crops, heatmaps)
    if model.kind != "topdown":
        raise ConfigError(
            f"exported files of this kind ('{model.kind}') give no covariances, top-down ones do; "
            "the model itself, with backend='torch', may"
        )
    return _topdown(model, crops, heatmaps, covariance_options(model.head))


def _topdown(
    model: Any, crops: Any, heatmaps: bool, covariances: Mapping[str, Any] | None = None
) -> Network:
    return ExportedTopdown(
        model.session,
        crops,
        model.head.decoder,
        heatmaps=heatmaps,
        covariances=covariances,
        count=model.session.metadata.get("decoded"),
    )


def _people(model: Any, crops: Any, heatmaps: bool) -> Network:
    about = model.session.metadata
    if heatmaps:
        warn_without_heatmaps("a one-stage model")
    return ExportedPeople(
        model.session, PictureSteps(crops), about["select"], about.get("candidates")
    )


def _maps(model: Any, crops: Any, heatmaps: bool) -> Network:
    if heatmaps:
        warn_without_heatmaps("an exported bottom-up model")
    about = {**model.session.metadata, "dataset_meta": model.dataset_meta}
    return ExportedMaps(model.session, PictureSteps(crops), model.head.decoder, about)


def _topdown_3d(model: Any, crops: Any, heatmaps: bool) -> Network:
    # plain pipelines have a maker of their own, which does not keep the steps
    maker = crops
    if not isinstance(crops, PipelineCrops):
        maker = PipelineCrops(read_test_pipeline(model.cfg), model.dataset_meta)
    about = model.session.metadata
    return ExportedTopdown3D(model.session, PictureSteps(maker), model.head.decoder, about)


#: Kind of file -> what runs it: of (loaded file, crop maker, whether heatmaps are wanted).
_NETWORKS: dict[str, Callable[[Any, Any, bool], Network]] = {
    "topdown": _topdown,
    "people": _people,
    "maps": _maps,
    "topdown3d": _topdown_3d,
}
#: Kinds of files that are no pose models, and what to do with them.
_ELSEWHERE = {
    "boxes": "finds boxes and no keypoints; give it as detector=... (--detector)",
    "lifter": "lifts 2D poses to 3D; give it as lift=... (--lift) beside a 2D model",
}


def _unflip_by(
    head: Any, metainfo: Mapping[str, Any], test_cfg: Mapping[str, Any]
) -> Callable[[tuple[np.ndarray, ...]], tuple[np.ndarray, ...]]:
    def unflip(outputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        import torch

        tensors = tuple(torch.from_numpy(o) for o in outputs)
        back = head.unflip(tensors if len(tensors) > 1 else tensors[0], metainfo, test_cfg)
        return tuple(t.numpy() for t in (back if isinstance(back, tuple) else (back,)))

    return unflip


def load_exported(
    path: str | os.PathLike[str], runtime: str, *, half: bool = False, config: Any = None
) -> Any:
    """What stands for the model of an exported file: `dataset_meta`, `cfg`, `head.decoder`.

    Args:
        path: a file that `poise export` wrote, or MMDeploy (`deployed_session`); or what
            `local_network` makes one of.
        runtime: what runs it.
        half: as `open_session`.
        config: the config of MMDeploy's model, where the file alone does not tell it.

    Raises:
        ConfigError: the file says nothing of what it holds, was written by a later Poise, or
            finds no keypoints; a config beside a file of Poise, which says all itself.
    """
    from poise.registry import KEYPOINT_CODECS

    path = local_network(path)
    session: Any = open_session(path, runtime, half=half)
    if not session.metadata:
        session = deployed_session(path, session, config)
    elif config is not None:
        raise ConfigError(f"'{path}' says itself what it holds; give it as the model, alone")
    about = session.metadata
    # files of before there were other kinds
    kind = about.get("kind", "topdown")
    if kind not in _NETWORKS:
        later = f"holds a '{kind}', which a later Poise has written"
        raise ConfigError(f"'{path}' {_ELSEWHERE.get(kind, later)}")
    if "dataset_meta" not in about:
        raise ConfigError(
            f"'{path}' names no keypoints: expected a file that `poise export` wrote of a pose "
            "model. That of nanodet finds boxes, for detector=... (--detector)"
        )
    codec = about.get("codec")
    decoder: Any = None if codec is None else KEYPOINT_CODECS.build(codec)
    known = about.get("calibration")
    return SimpleNamespace(
        session=session,
        kind=kind,
        dataset_meta=restore_metainfo(about["dataset_meta"]),
        cfg=Config(
            {"test_pipeline": about["pipeline"], "default_scope": about.get("default_scope")}
        ),
        head=SimpleNamespace(
            decoder=decoder,
            require_covariances=lambda: decoder.support_covariances or decoder.refuse_covariances(),
            # files of before there were covariances say nothing of them
            covariance_options=lambda: about.get("covariance_options") or {},
        ),
        test_cfg={},
        space_3d=about.get("space_3d"),
        calibration=None if known is None else Calibration.of(known),
    )
