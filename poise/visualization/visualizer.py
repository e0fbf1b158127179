"""MMPose's visualizers: one object that keeps the style and draws data samples."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poise._arrays import Array
from poise._named import Named
from poise.errors import DataError, MissingDependencyError
from poise.registry import VISUALIZERS
from poise.visualization.drawing import draw_boxes, draw_keypoints, field_of
from poise.visualization.fields import draw_heatmaps
from poise.visualization.files import write_picture
from poise.visualization.openpose import draw_openpose
from poise.visualization.style import Palette, Sizes

__all__ = ["FastVisualizer", "PoseLocalVisualizer", "openpose_meta", "part_of"]

#: Datasets with colours for OpenPose's style -> the schema that holds them.
OPENPOSE_SCHEMAS = {
    "coco": "configs/_base_/datasets/coco_openpose.py",
    "coco_wholebody": "configs/_base_/datasets/coco_wholebody_openpose.py",
}


@VISUALIZERS.register_module()
class PoseLocalVisualizer(Named):
    """Draws data samples: ground truth and predictions, boxes, keypoints and heatmaps.

    Pictures are RGB here, as in MMPose; the functions of `poise.visualization.drawing` take
    BGR as well.

    Args:
        name: of the visualizer.
        image: (H, W, 3) uint8 RGB, a picture to begin with.
        vis_backends: places that drawn pictures go to: objects with `add_image(name, image,
            step)`; a dict with the type LocalVisBackend stands for files in `save_dir`.
        save_dir: folder of those files.
        bbox_color: colour of boxes: a name or RGB.
        kpt_color: of keypoints: one colour, or one for each.
        link_color: of links: one colour, or one for each; None: blue, or the dataset's.
        text_color: of box labels; None: no labels.
        skeleton: pairs of keypoints to link.
        line_width: pixels; None: by the size of the picture and of each person.
        radius: of keypoints, pixels; None: likewise.
        show_keypoint_weight: let unsure keypoints fade.
        backend: kept for configs; OpenCV draws in any case.
        alpha: 1 covers the picture, 0 leaves it.
        antialias: smooth edges, at three times the cost.
    """

    def __init__(
        self,
        name: str = "visualizer",
        image: Array | None = None,
        vis_backends: Sequence[Any] | None = None,
        save_dir: str | os.PathLike[str] | None = None,
        bbox_color: Any = "green",
        kpt_color: Any = "red",
        link_color: Any = None,
        text_color: Any = (255, 255, 255),
        skeleton: Sequence[Sequence[int]] | None = None,
        line_width: float | None = None,
        radius: float | None = None,
        show_keypoint_weight: bool = False,
        backend: str = "opencv",
        alpha: float = 1.0,
        *,
        antialias: bool = True,
    ) -> None:
        if backend not in ("opencv", "matplotlib"):
            raise DataError(
                f"the argument 'backend' must be either 'opencv' or 'matplotlib', got '{backend}'"
            )
        super().__init__(name)
        self.vis_backends = list(vis_backends or ())
        self.save_dir = save_dir
        self.bbox_color = bbox_color
        self.kpt_color = kpt_color
        self.link_color = link_color
        self.text_color = text_color
        self.skeleton = skeleton
        self.line_width = line_width
        self.radius = radius
        self.show_keypoint_weight = show_keypoint_weight
        self.backend = backend
        self.alpha = alpha
        self.antialias = antialias
        self.dataset_meta: dict[str, Any] = {}
        self._image: Array | None = None
        #: which settings the palette was made of, and the palette
        self._prepared: tuple[Any, Palette] | None = None
        if image is not None:
            self.set_image(image)

    def set_dataset_meta(
        self, dataset_meta: Mapping[str, Any], skeleton_style: str = "mmpose"
    ) -> None:
        """Take links and colours from a dataset's parsed meta information.

        Args:
            dataset_meta: as `parse_pose_metainfo` gives it.
            skeleton_style: `mmpose`, or `openpose` for coco and coco_wholebody.

        Raises:
            NotImplementedError: there are no OpenPose colours for the dataset.
        """
        if skeleton_style == "openpose":
            dataset_meta = openpose_meta(str(dataset_meta["dataset_name"]))
        self.dataset_meta = dict(dataset_meta or {})
        self.bbox_color = self.dataset_meta.get("bbox_color", self.bbox_color)
        self.kpt_color = self.dataset_meta.get("keypoint_colors", self.kpt_color)
        self.link_color = self.dataset_meta.get("skeleton_link_colors", self.link_color)
        self.skeleton = self.dataset_meta.get("skeleton_links", self.skeleton)

    def set_image(self, image: Array) -> None:
        """Keep a picture (H, W, 3) RGB; `get_image` gives it back."""
        self._image = np.asarray(image).astype(np.uint8, copy=False)

    def get_image(self) -> Array:
        """The picture kept last, (H, W, 3) uint8 RGB.

        Raises:
            DataError: there is none yet.
        """
        if self._image is None:
            raise DataError("no picture yet: call set_image or add_datasample first")
        return self._image

    def add_datasample(
        self,
        name: str,
        image: Array,
        data_sample: Any,
        draw_gt: bool = True,
        draw_pred: bool = True,
        draw_heatmap: bool = False,
        draw_bbox: bool = False,
        show_kpt_idx: bool = False,
        skeleton_style: str = "mmpose",
        show: bool = False,
        wait_time: float = 0,
        out_file: str | os.PathLike[str] | None = None,
        kpt_thr: float = 0.3,
        step: int = 0,
    ) -> Array:
        """Draw a data sample: ground truth on the left, prediction on the right.

        Args:
            name: of the picture; title of the window, name of the file in `save_dir`.
            image: (H, W, 3) uint8 RGB, not changed.
            data_sample: with `gt_instances`, `pred_instances`, `gt_fields`, `pred_fields`,
                those it has, in image space.
            draw_gt: draw the ground truth.
            draw_pred: draw the prediction.
            draw_heatmap: add a picture with the heatmaps below.
            draw_bbox: draw boxes, too.
            show_kpt_idx: write the number of each keypoint.
            skeleton_style: `mmpose` or `openpose`.
            show: open a window.
            wait_time: seconds that the window stays; 0: until a key.
            out_file: write the picture to this file, instead of to the backends.
            kpt_thr: keypoints with a lower score are not drawn.
            step: number that the backends get.

        Returns:
            the drawn picture, RGB.
        """
        columns = []
        for wanted, kind in ((draw_gt, "gt"), (draw_pred, "pred")):
            if not wanted:
                continue
            top = np.array(image, dtype=np.uint8, order="C")
            instances = part_of(data_sample, f"{kind}_instances")
            if instances is not None:
                self._draw_instances_kpts(top, instances, kpt_thr, show_kpt_idx, skeleton_style)
                if draw_bbox:
                    self._draw_instances_bbox(top, instances)
            fields = part_of(data_sample, f"{kind}_fields") if draw_heatmap else None
            columns.append((top, None if fields is None else self._draw_heatmap(fields, image)))
        return self._hand_out(_stitched(columns, image), name, show, wait_time, out_file, step)

    def _hand_out(
        self,
        drawn: Array,
        name: str,
        show: bool,
        wait_time: float,
        out_file: str | os.PathLike[str] | None,
        step: int,
    ) -> Array:
        """Keep a drawn picture, show and write it as `add_datasample` was asked; returns it."""
        self.set_image(drawn)
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            write_picture(drawn, Path(out_file))
        else:
            self.add_image(name, drawn, step)
        return self.get_image()

    def _draw_instances_kpts(
        self,
        image: Array,
        instances: Any,
        kpt_thr: float = 0.3,
        show_kpt_idx: bool = False,
        skeleton_style: str = "mmpose",
    ) -> Array:
        """Draw keypoints and links into `image`, RGB, and return it."""
        keypoints = field_of(instances, "transformed_keypoints", "keypoints")
        if keypoints is None or not len(keypoints):
            return image
        scores = field_of(instances, "keypoints_visible", "keypoint_scores")
        # OpenPose's skeleton has a neck, too
        palette = self._palette(keypoints.shape[1] + (skeleton_style == "openpose"))
        style = (kpt_thr, show_kpt_idx, skeleton_style)
        return self._draw_poses(image, keypoints, scores, palette, *style)

    def _draw_poses(
        self,
        image: Array,
        keypoints: Array,
        scores: Array | None,
        palette: Palette,
        kpt_thr: float,
        show_kpt_idx: bool,
        skeleton_style: str,
    ) -> Array:
        """Draw keypoints (N, K, D) with scores (N, K) into `image`, RGB, and return it."""
        if skeleton_style == "openpose":
            return draw_openpose(
                image,
                keypoints[..., :2],
                np.ones(keypoints.shape[:2]) if scores is None else scores,
                palette,
                keypoint_threshold=kpt_thr,
                sizes=Sizes(self.line_width, self.radius),
            )
        return draw_keypoints(
            image,
            keypoints,
            scores,
            palette=palette,
            keypoint_threshold=kpt_thr,
            line_width=self.line_width,
            radius=self.radius,
            show_indices=show_kpt_idx,
            weigh_by_score=self.show_keypoint_weight,
            alpha=self.alpha,
            antialias=self.antialias,
        )

    def _palette(self, count: int) -> Palette:
        """Colours in the order of the picture, RGB; made again when the style has changed."""
        style = (self.kpt_color, self.link_color, self.skeleton, count)
        # by identity: arrays do not compare to one truth value
        known = self._prepared is not None and all(
            old is new for old, new in zip(self._prepared[0], style, strict=True)
        )
        if self._prepared is None or not known:
            palette = Palette.of(
                self.dataset_meta,
                count,
                point_color=self.kpt_color,
                link_color=self.link_color,
                links=self.skeleton,
                order="rgb",
            )
            self._prepared = (style, palette)
        return self._prepared[1]

    def _draw_instances_bbox(self, image: Array, instances: Any) -> Array:
        """Draw boxes, and the class of each where labels are known, into `image`, RGB."""
        boxes = field_of(instances, "bboxes")
        if boxes is None or not len(boxes):
            return image
        texts = None
        labels = field_of(instances, "labels")
        if labels is not None and self.text_color is not None:
            texts = [self.class_name(label) for label in labels.tolist()]
        return draw_boxes(
            image,
            boxes,
            color=self.bbox_color,
            labels=texts,
            text_color=self.text_color or "white",
            line_width=self.line_width,
            alpha=self.alpha,
            order="rgb",
        )

    def class_name(self, label: int) -> str:
        """What a label is called in the dataset's meta information, or else its number."""
        classes = self.dataset_meta.get("classes") or ()
        return str(classes[label]) if 0 <= label < len(classes) else f"class {label}"

    def _draw_heatmap(self, fields: Any, image: Array) -> Array | None:
        """A picture with the heatmaps over it, or None if there are none."""
        if "heatmaps" not in fields:
            return None
        return draw_heatmaps(image, fields.heatmaps, order="rgb")

    def add_image(self, name: str, image: Array, step: int = 0) -> None:
        """Give a drawn picture (H, W, 3) RGB to the backends."""
        for backend in self.vis_backends:
            if hasattr(backend, "add_image"):
                backend.add_image(name, image, step=step)
            elif self.save_dir is not None and _is_local(backend):
                folder = Path(self.save_dir) / "vis_data" / "vis_image"
                write_picture(image, folder / f"{name}_{step}.png")

    def add_scalars(self, scalar_dict: Mapping[str, Any], step: int = 0, **kwargs: Any) -> None:
        """Give figures by name to the backends that take any."""
        for backend in self.vis_backends:
            if hasattr(backend, "add_scalars"):
                backend.add_scalars(scalar_dict, step=step)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Give one figure to the backends that take any."""
        self.add_scalars({name: value}, step)

    def show(
        self, drawn_img: Array | None = None, win_name: str = "image", wait_time: float = 0
    ) -> None:
        """Open a window with a picture (H, W, 3) RGB.

        Raises:
            MissingDependencyError: this OpenCV was built without windows.
        """
        picture = self.get_image() if drawn_img is None else drawn_img
        try:
            cv2.imshow(win_name, np.ascontiguousarray(picture[..., ::-1]))
            cv2.waitKey(int(wait_time * 1000))
        except cv2.error as error:
            raise MissingDependencyError(
                "this OpenCV cannot open windows: install opencv-python in place of "
                "opencv-python-headless, or give out_file="
            ) from error


class FastVisualizer:
    """Draws one frame after another into the frames themselves, for video and cameras.

    Args:
        metainfo: parsed meta information.
        radius: of keypoints, pixels.
        line_width: of links, pixels.
        kpt_thr: keypoints with a lower score are not drawn.
    """

    def __init__(
        self,
        metainfo: Mapping[str, Any],
        radius: float | None = 6,
        line_width: float | None = 3,
        kpt_thr: float = 0.3,
    ) -> None:
        self.metainfo = metainfo
        self.radius = radius
        self.line_width = line_width
        self.kpt_thr = kpt_thr
        self._palettes: dict[int, Palette] = {}

    def draw_pose(self, img: Array, instances: Any) -> Array:
        """Draw people into `img` (H, W, 3) uint8, whose channels are in the metainfo's order.

        Args:
            img: changed in place.
            instances: an object or dict with `keypoints` (N, K, 2) and `keypoint_scores`
                (N, K); None draws nothing.

        Returns:
            `img`.
        """
        if instances is None:
            return img
        has = isinstance(instances, Mapping)
        keypoints = np.asarray(instances["keypoints"] if has else instances.keypoints)
        scores = np.asarray(instances["keypoint_scores"] if has else instances.keypoint_scores)
        if not keypoints.size:
            return img
        K = keypoints.shape[-2]
        if K not in self._palettes:
            self._palettes[K] = Palette.of(self.metainfo, K, order="rgb")
        return draw_keypoints(
            img,
            keypoints,
            scores,
            palette=self._palettes[K],
            keypoint_threshold=self.kpt_thr,
            line_width=self.line_width,
            radius=self.radius,
            antialias=False,
        )


def openpose_meta(dataset: str) -> dict[str, Any]:
    """Parsed meta information with OpenPose's colours for a dataset's keypoints and a neck.

    Raises:
        NotImplementedError: there are none for the dataset.
    """
    from poise.structures.metainfo import parse_pose_metainfo

    if dataset not in OPENPOSE_SCHEMAS:
        raise NotImplementedError(
            f"openpose style has not been supported for {dataset} dataset; it is for "
            f"{' and '.join(OPENPOSE_SCHEMAS)}"
        )
    return parse_pose_metainfo({"from_file": OPENPOSE_SCHEMAS[dataset]})


def part_of(data_sample: Any, name: str) -> Any:
    """A field of the sample, or None."""
    if data_sample is None or name not in data_sample:
        return None
    return getattr(data_sample, name)


def _stitched(columns: list[tuple[Array, Array | None]], image: Array) -> Array:
    """Pictures side by side, with the heatmaps below; plain where one has none."""
    if not columns:
        return np.array(image, dtype=np.uint8)
    if all(below is None for _, below in columns):
        tops = [top for top, _ in columns]
        return tops[0] if len(tops) == 1 else np.concatenate(tops, axis=1)
    stacked = [
        np.concatenate((top, image if below is None else below), axis=0) for top, below in columns
    ]
    return np.concatenate(stacked, axis=1)


def _is_local(backend: Any) -> bool:
    kind = backend.get("type", "") if isinstance(backend, Mapping) else ""
    return str(kind).rpartition(".")[2] == "LocalVisBackend"
