"""The arithmetic of the metrics as plain functions; heads use some for training accuracy."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "distances": (
            "keypoint_auc keypoint_epe keypoint_mpjpe keypoint_nme keypoint_pck_accuracy"
            " normalized_distances"
        ),
        "training": "multilabel_classification_accuracy pose_pck_accuracy simcc_pck_accuracy",
        "mapping": "transform_ann transform_pred transform_sigmas",
        "tensor_nms": "nms_torch",
        "poise.geometry.suppression": "nearby_joints_nms nms",
        "poise.geometry.oks": "oks_iou oks_nms soft_oks_nms",
        "poise.geometry.similarity": "compute_similarity_transform",
    },
)
