"""Where each registered name of the kind `datasets` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {
        "poise.datasets.base.coco_style": "BaseCocoStyleDataset",
        "poise.datasets.base.mocap": "BaseMocapDataset",
        "poise.datasets.catalog": (
            "AFLWDataset AP10KDataset ATRWDataset AicDataset AnimalKingdomDataset "
            "AnimalPoseDataset COFWDataset CocoDataset CocoWholeBodyDataset "
            "CocoWholeBodyFaceDataset CrowdPoseDataset DeepFashion2Dataset ExlposeDataset "
            "Face300VWDataset Face300WDataset Face300WLPDataset FlyDataset FreiHandDataset "
            "HalpeDataset Horse10Dataset HumanArt21Dataset HumanArtDataset JhmdbDataset "
            "LapaDataset LocustDataset MacaqueDataset MhpDataset OCHumanDataset "
            "OneHand10KDataset PanopticHand2DDataset PoseTrack18Dataset Rhd2DDataset "
            "UBody2dDataset WFLWDataset ZebraDataset"
        ),
        "poise.datasets.mixtures": "CombinedDataset",
        "poise.datasets.readers.deepfashion": "DeepFashionDataset",
        "poise.datasets.readers.human36m": "H36MWholeBodyDataset Human36mDataset",
        "poise.datasets.readers.interhand": "InterHand2DDoubleDataset InterHand3DDataset",
        "poise.datasets.readers.mp100": "TestPoseDataset TransformerPoseDataset",
        "poise.datasets.readers.mpii": "MpiiDataset MpiiTrbDataset",
        "poise.datasets.readers.posetrack_video": "PoseTrack18VideoDataset",
        "poise.datasets.readers.ubody3d": "UBody3dDataset",
        "poise.datasets.readers.wholebody_hand": "CocoWholeBodyHandDataset HalpeHandDataset",
    },
    "mmengine": {
        "poise.datasets.base.dataset": "BaseDataset",
        "poise.datasets.mixtures": "ClassBalancedDataset ConcatDataset RepeatDataset",
    },
    "mmdet": {
        "poise.datasets.mixtures": "MultiImageMixDataset",
        "poise.datasets.readers.boxes": "CocoDataset=DetectionCocoDataset",
    },
    "mmyolo": {
        "poise.datasets.catalog": "CocoDataset",
    },
}
