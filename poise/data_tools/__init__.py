"""Looking at data, checking it, and writing it in other forms."""

from __future__ import annotations

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "poise.check.records": "OddRecords check_data",
        "poise.datasets.report": "reports_of",
        "evaluating": "evaluate_predictions parse_metric",
        "examining": "examine_predictions",
        "opening": "open_dataset",
        "own_labels": "as_coco_file is_foreign with_coco_files",
        "pictures": "record_picture",
        "sheets": "draw_sheets",
        "sigma_estimation": "SigmaReport estimate_sigmas",
        "statistics": "data_statistics",
        "stick_figures": "draw_stick_figure",
    },
)
