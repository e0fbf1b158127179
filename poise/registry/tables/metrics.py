"""Where each registered name of the kind `metrics` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {
        "poise.metrics.coco": "CocoMetric",
        "poise.metrics.coco_wholebody": "CocoWholeBodyMetric",
        "poise.metrics.interhand": "InterHandMetric",
        "poise.metrics.keypoint_2d": "AUC EPE NME",
        "poise.metrics.keypoint_3d": "MPJPE SimpleMPJPE",
        "poise.metrics.partition": "KeypointPartitionMetric",
        "poise.metrics.posetrack18": "PoseTrack18Metric",
        "poise.metrics.pck": "JhmdbPCKAccuracy MpiiPCKAccuracy PCKAccuracy",
    },
    "poise": {
        "poise.metrics.episodes": "EpisodeMetric",
    },
    "mmdet": {
        "poise.metrics.coco_box": "CocoMetric=DetectionCocoMetric",
    },
    "mmengine": {
        "poise.metrics.base": "DumpResults",
    },
}
