"""Where each registered name of the kind `task_utils` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {
        "poise.models.assigners.points": "MlvlPointGenerator",
        "poise.models.assigners.sim_ota": "SimOTAAssigner",
        "poise.models.assigners.similarity": "BBoxOverlaps2D PoseOKS",
    },
    "mmdet": {
        "poise.models.assigners.points": "MlvlPointGenerator",
        "poise.models.assigners.sim_ota": "SimOTAAssigner=BoxSimOTAAssigner",
        "poise.models.assigners.similarity": "BboxOverlaps2D=BBoxOverlaps2D",
        "poise.models.assigners.soft_label": "DynamicSoftLabelAssigner",
        "poise.models.detectors.anchors": "AnchorGenerator DeltaXYWHBBoxCoder SSDAnchorGenerator "
        "YOLOAnchorGenerator YOLOBBoxCoder",
        "poise.models.detectors.dense": "DistancePointBBoxCoder",
    },
    "mmyolo": {
        "poise.models.assigners.sim_ota": "PoseSimOTAAssigner",
    },
}
