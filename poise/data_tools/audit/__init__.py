"""Which labels are most likely wrong, before a training is wasted on them."""

from __future__ import annotations

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "auditing": "audit_labels audit_people",
        "drawing": "draw_finding write_audit_page",
        "findings": "KINDS Audit Finding doubtful_ids read_findings",
        "people": "People gather_people",
        "planting": "measure_audit plant_faults",
        "poses3d": "Poses3D gather_poses",
        "predictions": "Poses Predictions predict_people read_poses",
        "spatial": "audit_poses",
    },
)
