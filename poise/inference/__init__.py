"""From pictures to poses: sources, the pipeline around a model, results, files."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "boxes": "check_boxes read_boxes",
        "conversions": "log_rerun to_fiftyone to_supervision",
        "detectors": "BatchDetector NanoDetDetector",
        "inferencer": "Inferencer",
        "propagation": "PoseBoxes interpolate_boxes",
        "smoothing": "SmoothingStage build_smoother smooth_sequence",
        "tracking": "Follow PoseTracker TrackingStage build_tracker",
        "lifting": "LiftingStage build_lifter",
        "reading": "read_results",
        "results": "PoseResult RESULT_VERSION SourceInfo",
        "sinks.base": "FileSink Sink SinkOptions",
        "sinks.group": "SinkGroup",
        "sinks.table": "SINKS open_sinks",
        "sources.frame": "Frame Source",
        "sources.opening": "open_sources",
        "sources.pictures": "Picture list_pictures to_bgr",
        "stages": "Stage build_stages chain_stages",
    },
)
