"""ONNX files that MMDeploy wrote, of MMPose's models.

They hold the network alone. How pictures get in, how outputs become keypoints and what these are
called is in the config of the model, or else in the `pipeline.json` beside the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import ConfigError
from poise.inference.exported.origins import Form, by_config, by_files, by_name
from poise.runtimes import Levels, Signature

__all__ = ["DeployedSession", "deployed_session"]


class DeployedSession:
    """A network of MMDeploy that takes pictures and gives outputs as exported files do.

    Args:
        session: normalised pictures (B, 3, H, W) -> the file's outputs.
        about: metadata as exported files have it.
        levels: how pictures are normalised.
        order: places of the outputs that are read.
    """

    def __init__(
        self, session: Any, about: dict[str, Any], levels: Levels, order: Sequence[int]
    ) -> None:
        signature: Signature = session.signature()
        self._session, self.metadata = session, about
        self._dtype, self._order = np.dtype(signature.dtype), tuple(order)
        self._mean, self._std = (np.array(v, np.float32) for v in (levels.mean, levels.std))
        self._rgb = levels.rgb
        self._whole = about["kind"] == "people"
        self._fixed = signature.input[0]
        self.batch_size = self._fixed or session.batch_size
        self.lanes = session.lanes

    def __call__(self, pixels: Array) -> tuple[Array, ...]:
        """Outputs of pictures (B, H, W, 3) uint8 BGR, float32."""
        levels = pixels[..., ::-1] if self._rgb else pixels
        inputs = ((levels - self._mean) / self._std).transpose(0, 3, 1, 2)
        inputs = np.ascontiguousarray(inputs, dtype=self._dtype)
        size = self._fixed or len(inputs)
        parts = [self._run(inputs[i : i + size], size) for i in range(0, len(inputs), size)]
        outputs = tuple(np.concatenate(column) for column in zip(*parts, strict=True))
        return _people(*outputs) if self._whole else outputs

    def _run(self, inputs: Array, size: int) -> list[Array]:
        """Outputs of a batch, which is filled up to the size that the file has."""
        count = len(inputs)
        if count < size:
            inputs = np.concatenate(
                (inputs, np.zeros((size - count, *inputs.shape[1:]), inputs.dtype))
            )
        outputs = self._session(inputs)
        return [outputs[place][:count].astype(np.float32, copy=False) for place in self._order]


def _people(dets: Array, keypoints: Array) -> tuple[Array, ...]:
    """Boxes (B, N, 4), scores (B, N), keypoints (B, N, K, 2) and their scores (B, N, K)."""
    return dets[..., :4], dets[..., 4], keypoints[..., :2], keypoints[..., 2]


def deployed_session(path: Path, session: Any, config: Any = None) -> DeployedSession:
    """Session of an ONNX file that does not say what it holds.

    Args:
        path: the file.
        session: what runs it.
        config: the model's config: a name, file or `Config`. None: the one whose released weights
            have the file's name, or its folder's, or which `detail.json` beside it names; else
            `pipeline.json` says what it can, and the number of keypoints tells the schema.

    Raises:
        ConfigError: outputs that no model of MMPose gives; a config that does not fit the file; or
            nothing says what the keypoints are.
        DataError: a `pipeline.json` or `detail.json` of another form.
    """
    if not hasattr(session, "signature"):
        raise ConfigError(
            f"'{path}' says nothing of what it holds; those that `poise export` writes do"
        )
    signature = _whole_signature(session)
    form = _form_of(path, signature)
    if config is not None:
        about, levels = by_config(path, form, config)
    else:
        about, levels = by_name(path, form) or by_files(path, form)
    order = [list(signature.outputs).index(name) for name in form.outputs]
    return DeployedSession(session, about, levels, order)


def _whole_signature(session: Any) -> Signature:
    """Shapes of a network; those that the file leaves open are seen on a black picture."""
    signature: Signature = session.signature()
    shape = signature.input
    lacking = any(None in output[1:] for output in signature.outputs.values())
    if not lacking or len(shape) != 4 or None in shape[1:]:
        return signature
    black = np.zeros([size or 1 for size in shape], signature.dtype)
    found = zip(signature.outputs, session(black), strict=True)
    return signature._replace(outputs={name: (None, *array.shape[1:]) for name, array in found})


def _form_of(path: Path, signature: Signature) -> Form:
    """Which kind of network it is, by the names and shapes of its outputs.

    Raises:
        ConfigError: none that is known.
    """
    shapes, names = signature.outputs, tuple(signature.outputs)
    ranks = [len(shape) for shape in shapes.values()]
    if len(signature.input) == 4 and signature.input[1] in (3, None):
        size = signature.input[3], signature.input[2]
        if {"dets", "keypoints"} <= shapes.keys():
            return Form("people", ("dets", "keypoints"), size, shapes["keypoints"][-2])
        first = shapes[names[0]]
        if ranks in ([3, 3], [3, 3, 3]) and len({shape[1] for shape in shapes.values()}) == 1:
            # simcc_x, simcc_y, simcc_z, or names that say nothing, in this order
            axes = tuple(sorted(names)) if "simcc_x" in shapes else names
            kind = "topdown" if len(axes) == 2 else "topdown3d"
            return Form(kind, axes, size, first[1], shapes[axes[0]][2])
        if ranks == [4] or (ranks == [3] and first[2] in range(2, 5)):
            return Form("topdown", names, size, first[1])
        if "labels" in shapes:
            raise ConfigError(
                f"'{path}' is a detector, which finds boxes and no keypoints; give it as "
                "detector=... (--detector) beside a pose model"
            )
    listed = ", ".join(f"{name} {_text(shape)}" for name, shape in shapes.items())
    raise ConfigError(
        f"'{path}' says nothing of what it holds, and is no pose model of MMDeploy: it turns "
        f"{_text(signature.input)} into {listed}. Expected pictures (B, 3, H, W), and simcc_x, "
        "simcc_y and perhaps simcc_z (B, K, bins), heatmaps (B, K, H, W), coordinates (B, K, 2), "
        "or dets (B, N, 5) and keypoints (B, N, K, 3). `poise export` writes files that say it "
        "themselves"
    )


def _text(shape: Sequence[int | None]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"
