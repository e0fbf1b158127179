"""Who the keypoints are: names, left and right, links, colours, weights and sigmas of datasets."""

from __future__ import annotations

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "library": "check get known names",
        "faults": "FAULTS Fault",
        "schema": "Schema",
        "sides": "other_sides plain_name schema_of_names",
        "checks": "validate",
        "conversions": "",
    },
)
