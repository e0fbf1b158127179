"""Where each registered name of the kind `transforms` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {
        "poise.transforms.loading": "LoadImage",
        "poise.transforms.box": "GetBBoxCenterScale RandomBBoxTransform RandomHalfBody",
        "poise.transforms.flip": "HandRandomFlip RandomFlip RandomFlipAroundRoot",
        "poise.transforms.topdown": "TopdownAffine",
        "poise.transforms.color": "PhotometricDistortion YOLOXHSVRandomAug",
        "poise.transforms.albumentation": "Albumentation",
        "poise.transforms.target": "GenerateTarget",
        "poise.transforms.packing": "PackPoseInputs",
        "poise.transforms.converting": "KeypointConverter SingleHandConverter",
        "poise.transforms.bottomup_affine": "BottomupRandomAffine",
        "poise.transforms.bottomup_crop": "BottomupRandomCrop",
        "poise.transforms.bottomup_mask": "BottomupGetHeatmapMask",
        "poise.transforms.bottomup_resize": "BottomupRandomChoiceResize BottomupResize",
        "poise.transforms.filtering": "FilterAnnotations",
        "poise.transforms.mixing": "Mosaic YOLOXMixUp",
    },
    "mmcv": {
        "poise.transforms.bottomup_resize": "RandomChoiceResize",
        "poise.transforms.compose": "Compose",
        "poise.transforms.detection": "RandomResize",
        "poise.transforms.loading": "LoadImageFromFile",
        "poise.transforms.wrappers": "RandomApply RandomChoice",
    },
    "mmdet": {
        "poise.transforms.color": "YOLOXHSVRandomAug",
        "poise.transforms.bottomup_crop": "RandomCrop=BottomupRandomCrop",
        "poise.transforms.detection": "LoadAnnotations PackDetInputs Pad Resize",
        "poise.transforms.detection_mixing": "CachedMixUp CachedMosaic MixUp=DetectionMixUp "
        "Mosaic=DetectionMosaic",
        "poise.transforms.yolo": "FilterAnnotations=DetectionFilterAnnotations RandomAffine "
        "RandomFlip=DetectionRandomFlip",
    },
    "mmyolo": {
        "poise.transforms.detection": "PackDetPoseInputs PoseToDetConverter",
        "poise.transforms.yolo": "FilterDetPoseAnnotations Mosaic=YOLOMosaic YOLOXMixUp=YOLOMixUp",
    },
}
