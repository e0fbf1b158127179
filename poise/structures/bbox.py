"""Box operations under the names of MMPose; the functions live in `poise.geometry`."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "poise.geometry.boxes": (
            "bbox_clip_border bbox_corner2xyxy bbox_cs2xywh bbox_cs2xyxy bbox_overlaps"
            " bbox_xywh2corner bbox_xywh2cs bbox_xywh2xyxy bbox_xyxy2corner bbox_xyxy2cs"
            " bbox_xyxy2xywh flip_bbox"
        ),
        "poise.geometry.warps": "get_pers_warp_matrix get_udp_warp_matrix get_warp_matrix",
    },
)
