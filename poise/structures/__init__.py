"""What travels between datasets, models and metrics: instances, maps and the sample of both."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "element": "BaseDataElement FieldError",
        "instance_data": "InstanceData",
        "pixel_data": "PixelData MultilevelPixelData",
        "pose_data_sample": "PoseDataSample",
        "merging": "merge_data_samples revert_heatmap split_instances",
        "metainfo": "keypoint_names parse_pose_metainfo",
        "bbox": (
            "bbox_clip_border bbox_corner2xyxy bbox_cs2xywh bbox_cs2xyxy bbox_overlaps"
            " bbox_xywh2cs bbox_xywh2xyxy bbox_xyxy2corner bbox_xyxy2cs bbox_xyxy2xywh flip_bbox"
            " get_pers_warp_matrix get_udp_warp_matrix get_warp_matrix"
        ),
        "conversion": "convert_instances convert_keypoints",
        "keypoint": "flip_keypoints flip_keypoints_custom_center keypoint_clip_border",
    },
)
