"""YOLO-pose: a label file a picture, with which such networks are trained."""

from __future__ import annotations

import json

import numpy as np

from poise.errors import DataError
from poise.inference.detectors.targets import category_name
from poise.inference.results.pose_result import PoseResult
from poise.inference.sinks.image import PictureFiles

__all__ = ["YoloSink"]

_SEEN, _ABSENT = 2, 0


class YoloSink(PictureFiles):
    """`NAME.txt` of each picture, and `data.yaml` with names and the mirror image's order.

    A line a person: class, middle and size of the box, then x, y and visibility of each keypoint,
    all in parts of the picture. Keypoints below the threshold or outside are marked absent.
    """

    suffix = ".txt"
    _described = False

    def content(self, result: PoseResult) -> bytes | None:
        """Lines of a picture; no file where it could not be read."""
        if result.image is None:
            return None
        self._describe(result)
        size = np.array(result.image.shape[1::-1], float)
        boxes = np.asarray(result.bboxes, float).reshape(-1, 2, 2).clip(0, size) / size
        points = np.asarray(result.keypoints, float)[..., :2] / size
        seen = np.asarray(result.visible) & np.asarray(result.in_frame)
        points = np.where(seen[..., None], points, 0)
        flags = np.where(seen, _SEEN, _ABSENT)[..., None]
        rows = np.concatenate(
            (
                boxes.mean(1),
                boxes[:, 1] - boxes[:, 0],
                np.concatenate((points, flags), -1).reshape(len(points), 3 * points.shape[1]),
            ),
            1,
        )
        lines = ["0 " + " ".join(f"{v:.6g}" for v in row) for row in rows.tolist()]
        return ("\n".join(lines) + "\n" if lines else "").encode()

    def _describe(self, result: PoseResult) -> None:
        """Write `data.yaml` beside the labels, once; one that is there must be of such keypoints.

        Raises:
            DataError: it is of others.
        """
        if self._described:
            return
        path, meta = self.folder / "data.yaml", result.metainfo
        # JSON is YAML
        own = {
            "names": f"{{0: {category_name(meta)}}}",
            "kpt_shape": f"[{meta['num_keypoints']}, 3]",
            "flip_idx": json.dumps(
                [int(i) for i in meta.get("flip_indices", range(meta["num_keypoints"]))]
            ),
            "kpt_names": f"{{0: {json.dumps(result.keypoint_names)}}}",
        }
        if path.exists():
            there = dict(x.partition(": ")[::2] for x in path.read_text("utf-8").splitlines())
            for key in ("kpt_shape", "kpt_names"):
                if there.get(key, own[key]) != own[key]:
                    raise DataError(
                        f"'{path}' is of other keypoints: expected {key}: {own[key]}, got "
                        f"{there[key]}; save runs of different models in different folders"
                    )
        else:
            lines = "".join(f"{key}: {value}\n" for key, value in own.items())
            note = "# labels by poise; train: and val: name your folders of pictures\n"
            text = f"{note}path: .\ntrain: images\nval: images\n{lines}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self._described = True
