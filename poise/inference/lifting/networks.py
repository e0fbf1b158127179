"""What lifts prepared keypoints: a torch model, or a file that `poise export` wrote."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from poise._arrays import Array, as_numpy
from poise.errors import ConfigError
from poise.structures.metainfo import restore_metainfo

__all__ = ["ExportedLifter", "LifterNetwork", "TorchLifter", "Window"]

#: People, or clips, per network call.
_BATCH = 64


class Window(NamedTuple):
    """Which frames a lifter looks at, as its config's test dataset says.

    Attributes:
        seq_len: frames.
        seq_step: frames from one to the next.
        causal: the last one is the one that is lifted, not the middle one.
        multiple_target: every frame of a clip is lifted.
    """

    seq_len: int = 1
    seq_step: int = 1
    causal: bool = False
    multiple_target: bool = False

    @classmethod
    def of(cls, cfg: Any) -> Window:
        """The window of a whole config."""
        dataset = cfg.test_dataloader.dataset
        return cls(
            dataset.get("seq_len", 1),
            dataset.get("seq_step", 1),
            bool(dataset.get("causal", False)),
            bool(dataset.get("multiple_target", 0)),
        )


class LifterNetwork(Protocol):
    """Keypoints in, poses out.

    Attributes:
        metainfo: parsed schema of the lifter's training data.
        window: frames that it looks at.
    """

    metainfo: Mapping[str, Any]
    window: Window

    def lifted(self, items: Sequence[dict[str, Any]]) -> list[Array]:
        """(T, K3, 3) float32 of each item of `lifter_item`: root-relative, the camera's axes."""


class TorchLifter:
    """A `PoseLifter`, by its own test pipeline.

    Args:
        model: with `cfg` and `dataset_meta`, in eval mode.
    """

    def __init__(self, model: Any) -> None:
        from poise.inference.networks.crops import read_test_pipeline

        self.model = model
        self.metainfo: Mapping[str, Any] = model.dataset_meta
        self.window = Window.of(model.cfg)
        self._pipeline = read_test_pipeline(model.cfg)

    def lifted(self, items: Sequence[dict[str, Any]]) -> list[Array]:
        """See `LifterNetwork`."""
        import torch

        out: list[Array] = []
        for start in range(0, len(items), _BATCH):
            packed = [self._pipeline(item) for item in items[start : start + _BATCH]]
            batch = {key: [p[key] for p in packed] for key in ("inputs", "data_samples")}
            with torch.inference_mode():
                samples = self.model.test_step(batch)
            for sample in samples:
                found = as_numpy(sample.pred_instances.keypoints)
                out.append(found.reshape(-1, *found.shape[-2:]))
        return out


class ExportedLifter:
    """A lifter in a file; works without torch.

    Args:
        path: the file.

    Raises:
        ConfigError: the file holds no lifter.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        from poise.registry import KEYPOINT_CODECS, use_scope
        from poise.runtimes import open_session, runtime_of
        from poise.transforms import Compose

        self._session = open_session(path, runtime_of(path))
        about = self._session.metadata
        if about.get("kind") != "lifter":
            raise ConfigError(
                f"'{path}' holds no lifter; lift= (--lift) takes files that poise export wrote of "
                "models that lift 2D poses to 3D"
            )
        self.metainfo = restore_metainfo(about["dataset_meta"])
        self.window = Window(**about["window"])
        *steps, pack = about["pipeline"]
        self._meta_keys = frozenset(pack.get("meta_keys", ()))
        with use_scope(about.get("default_scope")):
            self._pipeline = Compose(steps)
            self._decoder = KEYPOINT_CODECS.build(about["codec"])
        self._extras = _EXTRAS[about["head"]]

    def lifted(self, items: Sequence[dict[str, Any]]) -> list[Array]:
        """See `LifterNetwork`."""
        out: list[Array] = []
        for start in range(0, len(items), _BATCH):
            prepared = [self._pipeline(item) for item in items[start : start + _BATCH]]
            inputs = np.stack([results["keypoint_labels"] for results in prepared])
            (poses,) = self._session(inputs.astype(np.float32))
            for results, pose in zip(prepared, poses, strict=True):
                known = {key: results.get(key) for key in self._meta_keys}
                keypoints, _ = self._decoder.decode(pose[None], *self._extras(known))
                out.append(np.asarray(keypoints).reshape(-1, *keypoints.shape[-2:]))
        return out


def _root(known: Mapping[str, Any]) -> tuple[Array, ...]:
    """Where the root is, (1, ...); (1, 0) where the pipeline does not keep it."""
    return (_one(known.get("target_root")),)


def _camera(known: Mapping[str, Any]) -> tuple[Array, ...]:
    """Width and height of the picture, and factor, (1, ...); (1, 0) where not kept."""
    camera = known.get("camera_param")
    sides = [None if camera is None else [camera[key]] for key in ("w", "h")]
    return _one(sides[0]), _one(sides[1]), _one(known.get("factor"))


def _one(value: Any) -> Array:
    return np.empty((1, 0), np.float32) if value is None else np.asarray(value)[None]


#: Kind of head -> what its codec needs besides the outputs.
_EXTRAS = {"TemporalRegressionHead": _root, "MotionRegressionHead": _camera}
