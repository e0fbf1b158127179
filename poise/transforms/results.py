"""The `results` dict that travels through a pipeline: its keys, shapes, dtypes and spaces.

Shape letters: `N` instances (1 in top-down pipelines), `K` keypoints, `D` 2 or 3, `H W` image
height and width, `h w` those of a heatmap, `T` frames.

Spaces: *image* is the picture as loaded (after a flip: the flipped picture), *input* is what the
network sees, *output* is that of heatmaps and other targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    import numpy as np

__all__ = ["GIVEN_BY", "Results"]


class Results(TypedDict, total=False):
    """Every key that the transforms of Poise read or write. None is always there."""

    # picture: LoadImage
    img_path: str | None
    """Path of the picture; None where an array was given."""
    img: np.ndarray | list[np.ndarray]
    """(H, W, 3) uint8 BGR, image space until the affine or resize step, then input space. float32
    with `LoadImage(to_float32=True)`; a list of pictures for image sequences and test pyramids."""
    img_shape: tuple[int, int]
    """(height, width) of `img` when it was loaded, mixed, cropped or resized."""
    ori_shape: tuple[int, int]
    """(height, width) of the picture in the file."""

    # annotations: the dataset
    id: int | list[int]
    """Annotation id(s)."""
    img_id: int
    bbox: np.ndarray
    """(N, 4) float32 x1 y1 x2 y2, image space; (N, 4, 2) corners after BottomupRandomAffine with
    `bbox_keep_corner`."""
    bbox_score: np.ndarray
    """(N,) float32, 1 for annotated boxes."""
    keypoints: np.ndarray
    """(N, K, D) float32, image space."""
    keypoints_visible: np.ndarray
    """(N, K) float32 in 0..1; (N, K, 2) after KeypointConverter: visibility, then the weight of
    the loss on visibility."""
    keypoints_3d: np.ndarray
    """(N, K, 3) float32, camera or world space, of datasets with 3D annotations."""
    area: np.ndarray
    """(N,) float32, pixels of the instance's segment, image space."""
    category_id: int | np.ndarray
    iscrowd: int | np.ndarray
    segmentation: Any
    """COCO polygons or RLE of the instances."""
    invalid_segs: list[Any]
    """COCO polygons or RLE of people that must not count as background, image space."""
    hand_type: np.ndarray
    """(1, 2) float32: right, left."""
    rel_root_depth: np.ndarray
    """(1,) float32, depth of the left wrist relative to the right one, mm."""
    lifting_target: np.ndarray
    """(T, K, 3) float32, camera space: what a lifting model predicts."""
    lifting_target_visible: np.ndarray
    """(T, K) float32."""
    keypoint_labels: np.ndarray
    """What a lifting or regression codec made of `keypoints`."""
    keypoint_labels_visible: np.ndarray
    lifting_target_label: np.ndarray
    camera_param: dict[str, Any]
    """Camera of the sample: f (2, 1), c (2, 1), w, h, and distortion k, p."""
    target_idx: list[int]
    """Frames of the sequence that are predicted."""
    dataset: Any
    """The dataset itself; only during steps that mix several samples."""
    raw_ann_info: Any

    # metainfo of the dataset
    dataset_name: str
    flip_indices: list[int]
    """(K,): the keypoint each one becomes in a mirrored picture."""
    upper_body_ids: list[int]
    lower_body_ids: list[int]
    dataset_keypoint_weights: np.ndarray
    """(K,) float32, from the schema's `joint_weights`."""

    # boxes: GetBBoxCenterScale, RandomHalfBody, RandomBBoxTransform
    bbox_center: np.ndarray
    """(N, 2) float32 x y, image space."""
    bbox_scale: np.ndarray
    """(N, 2) float32 width and height of the padded box, image space."""
    bbox_rotation: np.ndarray
    """(N,) float32, degrees."""

    # flips: RandomFlip
    flip: bool
    flip_direction: str | None

    # into input space: TopdownAffine, BottomupResize, BottomupRandomAffine
    input_size: tuple[int, int]
    """(width, height) of the network's input."""
    input_center: np.ndarray
    """(2,) float32, centre of the region that became the input, image space."""
    input_scale: np.ndarray
    """(2,) float32, width and height of that region, image space."""
    transformed_keypoints: np.ndarray
    """(N, K, D) like `keypoints`, x and y in input space."""
    warp_mat: np.ndarray
    """(2, 3) or (3, 3), image to input space."""
    scale_factor: tuple[float, float]
    """(x, y), input pixels per image pixel, of BottomupRandomChoiceResize."""
    scale_idx: int
    aug_scale: None
    aug_scales: list[float]

    # targets: GenerateTarget
    heatmaps: np.ndarray | list[np.ndarray]
    """(K, h, w) float32, output space; a list over levels."""
    heatmap_mask: np.ndarray | list[np.ndarray]
    """(h, w) bool, output space: where the loss counts."""
    keypoint_weights: np.ndarray | list[np.ndarray]
    """(N, K) float32."""
    keypoints_visible_weights: np.ndarray
    """(N, K) float32, weight of the loss on visibility."""
    field_mapping_table: dict[str, str]
    instance_mapping_table: dict[str, str]
    label_mapping_table: dict[str, str]


_DATASET = "the dataset"
_ANNOTATION = "the dataset's annotations (test annotations may lack them)"
_METAINFO = "the dataset's metainfo (schema)"

GIVEN_BY: dict[str, str] = {
    "img": "LoadImage",
    "img_path": f"{_DATASET}, or put the picture itself in results['img']",
    "img_shape": "LoadImage",
    "ori_shape": "LoadImage",
    "bbox": _ANNOTATION,
    "bbox_score": _ANNOTATION,
    "bbox_center": "GetBBoxCenterScale",
    "bbox_scale": "GetBBoxCenterScale",
    "keypoints": _ANNOTATION,
    "keypoints_visible": _ANNOTATION,
    "keypoints_3d": _ANNOTATION,
    "area": _ANNOTATION,
    "category_id": _ANNOTATION,
    "hand_type": "an interhand dataset",
    "rel_root_depth": "an interhand dataset",
    "lifting_target": "a 3D dataset such as Human36mDataset",
    "lifting_target_label": "GenerateTarget with a lifting codec",
    "keypoint_labels": "GenerateTarget with a lifting or regression codec",
    "camera_param": "a 3D dataset such as Human36mDataset",
    "target_idx": "a 3D dataset such as Human36mDataset",
    "dataset": "the dataset, which hands itself over to steps that mix samples",
    "flip_indices": _METAINFO,
    "upper_body_ids": _METAINFO,
    "lower_body_ids": _METAINFO,
    "dataset_keypoint_weights": _METAINFO,
    "input_size": "TopdownAffine, BottomupResize or BottomupRandomAffine",
    "heatmaps": "GenerateTarget with a heatmap codec",
}
"""Key -> who usually puts it into `results`, for error texts."""
