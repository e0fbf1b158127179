"""Which predictions of a dense head answer for which person, and where its grid points lie."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "points": "MlvlPointGenerator",
        "sim_ota": "PoseSimOTAAssigner SimOTAAssigner",
        "similarity": "BBoxOverlaps2D PoseOKS",
    },
)
