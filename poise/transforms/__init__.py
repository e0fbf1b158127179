"""Transforms: `results` -> `results`, the steps of data pipelines."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "base": "BaseTransform MissingKeyError",
        "results": "Results",
        "compose": "Compose",
        "randomness": (
            "avoid_cache_randomness cache_random_params cache_randomness truncated_normal"
        ),
        "image": "decode_image flip_image read_bytes rescale_image resize_image",
        "loading": "LoadImage LoadImageFromFile",
        "box": "GetBBoxCenterScale RandomBBoxTransform RandomHalfBody",
        "flip": "HandRandomFlip RandomFlip RandomFlipAroundRoot",
        "topdown": "TopdownAffine",
        "color": "PhotometricDistortion YOLOXHSVRandomAug",
        "albumentation": "Albumentation",
        "target": "GenerateTarget",
        "packing": "PackPoseInputs image_to_tensor keypoints_to_tensor",
        "converting": "KeypointConverter SingleHandConverter",
        "bottomup_affine": "BottomupRandomAffine",
        "bottomup_crop": "BottomupRandomCrop",
        "bottomup_mask": "BottomupGetHeatmapMask",
        "bottomup_resize": "BottomupRandomChoiceResize BottomupResize RandomChoiceResize",
        "filtering": "FilterAnnotations",
        "mixing": "MixImageTransform Mosaic YOLOXMixUp",
        "detection": "LoadAnnotations PackDetInputs PackDetPoseInputs Pad PoseToDetConverter "
        "RandomResize Resize",
        "detection_mixing": "CachedMixUp CachedMosaic DetectionMixUp DetectionMosaic",
        "yolo": "DetectionFilterAnnotations DetectionRandomFlip FilterDetPoseAnnotations "
        "RandomAffine YOLOMixUp YOLOMosaic",
        "wrappers": "RandomApply RandomChoice",
    },
)
