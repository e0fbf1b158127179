"""What an inference gives, and what can be made of it.

`pose_result` is a picture's result; `calibration` and `probabilities` say what its scores mean,
`covariances` what its covariances do, by what `labelled` lays side by side; `categories` says which
keypoints are whose;
`reading` reads results that were written, `conversions` gives them to other libraries, and
`sequences` lays people of several frames side by side.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "pose_result": "PoseResult RESULT_VERSION SourceInfo empty_instances",
        "reading": "read_results",
        "conversions": "log_rerun to_fiftyone to_supervision",
        "calibration": "Calibration fit_calibration",
        "covariances": "CovarianceCalibration fit_covariances report_covariances",
        "probabilities": "probabilities_of score_kind_of",
    },
)
