"""Pure functions on boxes, keypoints, cameras and point sets: numpy in, numpy out, no torch."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "boxes": (
            "bbox_xyxy2xywh bbox_xywh2xyxy bbox_xyxy2cs bbox_xywh2cs bbox_cs2xyxy bbox_cs2xywh"
            " bbox_xyxy2corner bbox_corner2xyxy bbox_xywh2corner bbox_corner2xywh"
            " bbox_clip_border flip_bbox bbox_area bbox_overlaps"
        ),
        "warps": (
            "get_warp_matrix get_udp_warp_matrix get_pers_warp_matrix get_3rd_point"
            " rotate_point warp_points"
        ),
        "keypoints": "flip_keypoints flip_keypoints_custom_center keypoint_clip_border",
        "similarity": "compute_similarity_transform align_by_scale",
        "cameras": "SimpleCamera camera_to_pixel pixel_to_camera",
        "cameras_torch": "SimpleCameraTorch",
        "camera_model": "Camera",
        "lens": "distort undistort",
        "triangulation": "Triangulated Triangulation triangulate_points",
        "suppression": "nms box_nms nearby_joints_nms",
        "covariances": (
            "warp_covariances scale_covariances mahalanobis_distances ellipse_radius"
            " ellipse_outlines"
        ),
        "angles": "angle_between turn_between body_axes continuous_angles angle_rates",
        "motion": "start_motion predict_motion correct_motion smooth_motion",
        "oks": "expected_oks oks_iou oks_nms soft_oks_nms COCO_SIGMAS",
    },
)
