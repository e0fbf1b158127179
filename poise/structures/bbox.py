"""Box operations under the names of MMPose; the functions live in `poise.geometry`."""

from __future__ import annotations

from poise.geometry.boxes import (
    bbox_clip_border,
    bbox_corner2xyxy,
    bbox_cs2xywh,
    bbox_cs2xyxy,
    bbox_overlaps,
    bbox_xywh2corner,
    bbox_xywh2cs,
    bbox_xywh2xyxy,
    bbox_xyxy2corner,
    bbox_xyxy2cs,
    bbox_xyxy2xywh,
    flip_bbox,
)
from poise.geometry.warps import get_pers_warp_matrix, get_udp_warp_matrix, get_warp_matrix

__all__ = [
    "bbox_clip_border",
    "bbox_corner2xyxy",
    "bbox_cs2xywh",
    "bbox_cs2xyxy",
    "bbox_overlaps",
    "bbox_xywh2corner",
    "bbox_xywh2cs",
    "bbox_xywh2xyxy",
    "bbox_xyxy2corner",
    "bbox_xyxy2cs",
    "bbox_xyxy2xywh",
    "flip_bbox",
    "get_pers_warp_matrix",
    "get_udp_warp_matrix",
    "get_warp_matrix",
]
