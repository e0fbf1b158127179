"""From pictures to poses; `inferencer.Inferencer` is where to begin, `speed` measures one.

In the order of a picture's way: `sources`, `boxes` and `detectors` (where to look), `networks` or
`exported` (what runs a batch), `pipeline` (which makes them overlap), `results`, then `tracking`,
`smoothing`, `lifting` (chained by `stages`), `measuring`, and `sinks` (files). `multiview` puts
several cameras together; `machine` is what all this takes of the computer.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "boxes.files": "check_boxes read_boxes",
        "boxes.propagation": "PoseBoxes interpolate_boxes",
        "detectors": "BatchDetector NanoDetDetector",
        "inferencer": "Inferencer",
        "networks.support": "Support",
        "smoothing": "SmoothingStage build_smoother smooth_sequence",
        "tracking": "Follow PoseTracker TrackingStage build_tracker",
        "lifting": "LiftingStage build_lifter",
        "measuring": "JointAngles joint_angles",
        "stages": "Stage build_stages chain_stages",
        "results.conversions": "log_rerun to_fiftyone to_supervision",
        "results.pose_result": "PoseResult RESULT_VERSION SourceInfo",
        "results.reading": "read_results",
        "sinks.base": "FileSink Sink SinkOptions",
        "sinks.group": "SinkGroup",
        "sinks.table": "SINKS open_sinks",
        "sources.frame": "Frame Source",
        "sources.opening": "open_sources",
        "sources.pictures": "Picture list_pictures to_bgr",
    },
)
