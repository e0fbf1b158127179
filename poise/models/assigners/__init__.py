"""Which predictions of a dense head answer for which object, and where its grid points lie."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "dynamic": "DynamicAssigner",
        "points": "MlvlPointGenerator",
        "sim_ota": "BoxSimOTAAssigner PoseSimOTAAssigner SimOTAAssigner",
        "similarity": "BBoxOverlaps2D PoseOKS",
        "soft_label": "DynamicSoftLabelAssigner",
    },
)
