"""MMPose's functional interface: the calls that most scripts are made of."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "detection": "adapt_mmdet_pipeline inference_detector init_detector",
        "inference": "collect_multi_frames dataset_meta_from_config inference_bottomup "
        "inference_topdown init_model",
        "inferencer": "MMPoseInferencer",
        "inferencers": "Hand3DInferencer Pose2DInferencer Pose3DInferencer get_model_aliases",
        "lifting": "collate_pose_sequence convert_keypoint_definition extract_pose_sequence "
        "inference_pose_lifter_model",
        "drawing": "visualize",
        "tracking": "_track_by_iou _track_by_oks",
    },
)
