"""A released model's config for one's own COCO-style data: files, keypoints or boxes, settings.

`preparation` does it all: `files` finds the data, `split` holds some out, `settings` changes the
config of a pose model, `boxes` that of a detector, `schedule` its course.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "boxes": "describe_boxes finds_boxes",
        "files": "DataFiles find_files",
        "split": "hold_out",
        "poise.check.files": "read_annotations",
        "poise.check.keypoints": "KeypointReport describe_keypoints",
        "preparation": "OwnData prepare",
        "settings": "use_own_data",
    },
)
