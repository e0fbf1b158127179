"""MMPose's functional interface: the calls that most scripts are made of."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "detection": "adapt_mmdet_pipeline inference_detector init_detector",
        "inference": "collect_multi_frames dataset_meta_from_config inference_bottomup "
        "inference_topdown init_model",
        "inferencer": "MMPoseInferencer",
        "lifting": "collate_pose_sequence convert_keypoint_definition extract_pose_sequence "
        "inference_pose_lifter_model",
        "drawing": "visualize",
    },
)
