"""Base classes of data sets: any records, COCO-style annotations, motion capture."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "dataset": "BaseDataset force_full_init",
        "coco_style": "BaseCocoStyleDataset",
        "mocap": "BaseMocapDataset",
    },
)
