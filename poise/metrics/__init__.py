"""Metrics: `process` collects what a batch needs, `evaluate` computes the figures."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "functional": "",
        "base": "BaseMetric DumpResults",
        "evaluator": "Evaluator MultiDatasetEvaluator",
        "coco": "CocoMetric",
        "coco_box": "DetectionCocoMetric",
        "coco_wholebody": "CocoWholeBodyMetric",
        "episodes": "EpisodeMetric",
        "keypoint_2d": "AUC EPE NME",
        "pck": "JhmdbPCKAccuracy MpiiPCKAccuracy PCKAccuracy",
        "keypoint_3d": "MPJPE SimpleMPJPE",
        "interhand": "InterHandMetric",
        "partition": "KeypointPartitionMetric",
        "posetrack18": "PoseTrack18Metric",
        "tracking": "TrackScores track_scores",
    },
)
