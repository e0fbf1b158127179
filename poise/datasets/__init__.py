"""Readers of annotation formats, a catalog of data sets, mixtures, samplers and loaders."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "base.dataset": "BaseDataset force_full_init",
        "base.coco_style": "BaseCocoStyleDataset",
        "base.mocap": "BaseMocapDataset",
        "catalog": (
            "AFLWDataset AP10KDataset ATRWDataset AicDataset AnimalKingdomDataset "
            "AnimalPoseDataset COFWDataset CocoDataset CocoWholeBodyDataset "
            "CocoWholeBodyFaceDataset CrowdPoseDataset DeepFashion2Dataset ExlposeDataset "
            "Face300VWDataset Face300WDataset Face300WLPDataset FlyDataset FreiHandDataset "
            "HalpeDataset Horse10Dataset HumanArt21Dataset HumanArtDataset JhmdbDataset "
            "LapaDataset LocustDataset MacaqueDataset MhpDataset OCHumanDataset "
            "OneHand10KDataset PanopticHand2DDataset PoseTrack18Dataset Rhd2DDataset "
            "UBody2dDataset WFLWDataset ZebraDataset"
        ),
        "coco_file": "CocoFile",
        "collate": "default_collate pseudo_collate",
        "instances": "InstanceRule",
        "loader": "build_dataloader build_dataset worker_init_fn",
        "mixtures": "ClassBalancedDataset CombinedDataset ConcatDataset MultiImageMixDataset "
        "RepeatDataset",
        "readers.boxes": "DetectionCocoDataset",
        "readers.deepfashion": "DeepFashionDataset",
        "readers.human36m": "H36MWholeBodyDataset Human36mDataset",
        "readers.interhand": "InterHand2DDoubleDataset InterHand3DDataset",
        "readers.mp100": "TestPoseDataset TransformerPoseDataset",
        "readers.mpii": "MpiiDataset MpiiTrbDataset",
        "readers.posetrack_video": "PoseTrack18VideoDataset",
        "readers.ubody3d": "UBody3dDataset",
        "readers.wholebody_hand": "CocoWholeBodyHandDataset HalpeHandDataset",
        "records": "Records",
        "report": "LoadReport",
        "samplers": "DefaultSampler InfiniteSampler MultiSourceSampler PictureSampler",
        "poise.structures.metainfo": "parse_pose_metainfo",
    },
)
