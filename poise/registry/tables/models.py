"""Where each registered name of the kind `models` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {
        "poise.training.optim.averages": "ExpMomentumEMA",
        # layers
        "poise.layers.norms": "FrozenBatchNorm2d",
        # backbones
        "poise.models.backbones.alexnet": "AlexNet",
        "poise.models.backbones.cpm": "CPM",
        "poise.models.backbones.csp": "CSPDarknet CSPNeXt",
        "poise.models.backbones.dstformer": "DSTFormer",
        "poise.models.backbones.hourglass": "HourglassAENet HourglassNet",
        "poise.models.backbones.hrformer": "HRFormer",
        "poise.models.backbones.hrnet": "HRNet",
        "poise.models.backbones.lite_hrnet": "LiteHRNet",
        "poise.models.backbones.mobilenet_v2": "MobileNetV2",
        "poise.models.backbones.mobilenet_v3": "MobileNetV3",
        "poise.models.backbones.multi_stage": "MSPN RSN",
        "poise.models.backbones.pvt": "PyramidVisionTransformer PyramidVisionTransformerV2",
        "poise.models.backbones.regnet": "RegNet",
        "poise.models.backbones.resnest": "ResNeSt",
        "poise.models.backbones.sapiens2": "Sapiens2",
        "poise.models.backbones.scnet": "SCNet",
        "poise.models.backbones.seresnet": "SEResNeXt SEResNet",
        "poise.models.backbones.shufflenet": "ShuffleNetV1 ShuffleNetV2",
        "poise.models.backbones.swin": "SwinTransformer",
        "poise.models.backbones.swin_v2": "SwinTransformerV2",
        "poise.models.backbones.tcn": "TCN",
        "poise.models.backbones.timm_backbone": "TIMMBackbone",
        "poise.models.backbones.uniformer": "UniFormer",
        "poise.models.backbones.v2v_net": "V2VNet",
        "poise.models.backbones.vgg": "VGG",
        "poise.models.backbones.vipnas": "ViPNAS_MobileNetV3 ViPNAS_ResNet",
        "poise.models.backbones.resnet": "ResNet ResNetV1d",
        "poise.models.backbones.resnext": "ResNeXt",
        # necks
        "poise.models.necks.channel_mapper": "ChannelMapper",
        "poise.models.necks.feature_map_processor": "FeatureMapProcessor",
        "poise.models.necks.fpn": "FPN",
        "poise.models.necks.gap": "GlobalAveragePooling",
        "poise.models.necks.hybrid_encoder": "HybridEncoder",
        "poise.models.necks.pafpn": "CSPNeXtPAFPN YOLOXPAFPN",
        "poise.models.necks.posewarper": "PoseWarperNeck",
        # losses
        "poise.losses.classification": "BCELoss InfoNCELoss JSDiscretLoss VariFocalLoss",
        "poise.losses.combined": "CombinedLoss MultipleLossWrapper",
        "poise.losses.coordinate": "L1Loss MSELoss SmoothL1Loss SoftWeightSmoothL1Loss "
        "SoftWingLoss WingLoss",
        "poise.losses.distillation": "FeaLoss KDLoss",
        "poise.losses.embedding": "AssociativeEmbeddingLoss",
        "poise.losses.heatmap": "AdaptiveWingLoss CombinedTargetMSELoss FocalHeatmapLoss "
        "KeypointMSELoss KeypointOHKMMSELoss",
        "poise.losses.pose3d": "BoneLoss MPJPELoss MPJPEVelocityJointLoss SemiSupervisionLoss",
        "poise.losses.rle": "RLELoss",
        "poise.losses.similarity": "IoULoss OKSLoss",
        "poise.losses.simcc": "KLDiscretLoss KLDiscretLossWithWeight MLECCLoss",
        # preprocessors
        "poise.models.preprocessors.batch_resize": "BatchSyncRandomResize",
        "poise.models.preprocessors.pose": "PoseDataPreprocessor",
        # heads
        "poise.models.heads.associative_embedding": "AssociativeEmbeddingHead",
        "poise.models.heads.cid": "CIDHead",
        "poise.models.heads.cpm": "CPMHead",
        "poise.models.heads.dekr": "DEKRHead",
        "poise.models.heads.internet": "InternetHead",
        "poise.models.heads.lifting": "MotionRegressionHead TemporalRegressionHead "
        "TrajectoryRegressionHead",
        "poise.models.heads.rtmo": "RTMOHead",
        "poise.models.heads.vis": "VisPredictHead",
        "poise.models.heads.yolox_pose": "YOLOXPoseHead",
        "poise.models.heads.edpose.head": "EDPoseHead TransformerHead",
        "poise.models.heads.few_shot.head": "PoseHead TwoStageHead=PoseHead",
        "poise.models.heads.few_shot.positions": "LearnedPositionalEncoding SinePositionalEncoding",
        "poise.models.heads.few_shot.transformer": "EncoderDecoder "
        "TwoStageSupportRefineTransformer=EncoderDecoder",
        "poise.models.heads.heatmap": "HeatmapHead",
        "poise.models.heads.integral": "DSNTHead IntegralRegressionHead",
        "poise.models.heads.mspn": "MSPNHead",
        "poise.models.heads.regression": "RLEHead RegressionHead",
        "poise.models.heads.rtmcc": "RTMCCHead RTMWHead",
        "poise.models.heads.rtmw3d": "RTMW3DHead",
        "poise.models.heads.sapiens2": "Sapiens2Head",
        "poise.models.heads.simcc": "SimCCHead",
        "poise.models.heads.vipnas": "ViPNASHead",
        # estimators and distillers
        "poise.models.distillers.dwpose": "DWPoseDistiller",
        "poise.models.estimators.bottomup": "BottomupPoseEstimator",
        "poise.models.estimators.few_shot": "PoseAnythingModel "
        "TransformerPoseTwoStage=PoseAnythingModel",
        "poise.models.estimators.lifter": "PoseLifter",
        "poise.models.estimators.topdown": "TopdownPoseEstimator",
        "poise.models.estimators.topdown_3d": "TopdownPoseEstimator3D",
    },
    "mmengine": {
        "poise.training.optim.averages": (
            "ExponentialMovingAverage MomentumAnnealingEMA StochasticWeightAverage"
        ),
        "poise.models.preprocessors.base": "BaseDataPreprocessor ImgDataPreprocessor",
    },
    # torch's own layers under MMCV's names; plain torch names need no row
    "mmcv": {
        "torch.nn": "deconv=ConvTranspose2d deconv3d=ConvTranspose3d "
        "BN=BatchNorm2d BN1d=BatchNorm1d BN2d=BatchNorm2d BN3d=BatchNorm3d SyncBN=SyncBatchNorm "
        "GN=GroupNorm LN=LayerNorm IN=InstanceNorm2d IN1d=InstanceNorm1d IN2d=InstanceNorm2d "
        "IN3d=InstanceNorm3d HSwish=Hardswish zero=ZeroPad2d reflect=ReflectionPad2d "
        "replicate=ReplicationPad2d nearest=Upsample bilinear=Upsample",
        "poise.layers.conv2d": "Conv=Conv2d Conv2d",
        "poise.layers.context": "ContextBlock",
        "poise.layers.activations": "Clamp Clip=Clamp HSigmoid Swish",
        "poise.layers.conv_module": "ConvModule DepthwiseSeparableConvModule",
        "poise.layers.deform_conv": "DeformConv=DeformConv2d DCN=DeformConv2dPack "
        "DCNv2=ModulatedDeformConv2dPack",
        "poise.layers.deform_attention": "MultiScaleDeformableAttention",
        "poise.layers.drop": "DropPath Dropout",
        "poise.layers.transformer": "FFN MultiheadAttention",
        "poise.layers.upsample": "pixel_shuffle=PixelShufflePack",
        "poise.models.detectors.box_head": "RoIAlign",
    },
    "mmdet": {
        "poise.losses.detection": "CIoULoss CrossEntropyLoss=DetectionCrossEntropyLoss "
        "DIoULoss DistributionFocalLoss GIoULoss IoULoss=DetectionIoULoss "
        "L1Loss=DetectionL1Loss QualityFocalLoss",
        "poise.training.optim.averages": "ExpMomentumEMA",
        "poise.models.backbones.csp": "CSPDarknet CSPNeXt",
        "poise.models.necks.channel_mapper": "ChannelMapper",
        "poise.models.necks.fpn": "FPN",
        "poise.models.necks.pafpn": "CSPNeXtPAFPN=DetectionCSPNeXtPAFPN YOLOXPAFPN",
        "poise.models.backbones.mobilenet_v2": "MobileNetV2=DetectionMobileNetV2",
        "poise.models.backbones.resnet": "ResNet=DetectionResNet",
        "poise.models.backbones.resnext": "ResNeXt=DetectionResNeXt",
        "poise.models.detectors.box_head": "Shared2FCBBoxHead SingleRoIExtractor",
        "poise.models.detectors.region_proposals": "RPNHead",
        "poise.models.detectors.roi_heads": "CascadeRoIHead StandardRoIHead",
        "poise.models.detectors.rtmdet_head": "RTMDetSepBNHead",
        "poise.models.detectors.single_stage": "RTMDet SingleStageDetector YOLOV3 YOLOX",
        "poise.models.detectors.ssd": "SSDHead SSDNeck",
        "poise.models.detectors.two_stage": "CascadeRCNN FasterRCNN MaskRCNN",
        "poise.models.detectors.yolov3": "Darknet YOLOV3Head YOLOV3Neck",
        "poise.models.detectors.yolox_head": "YOLOXHead",
        "poise.models.preprocessors.batch_resize": "BatchSyncRandomResize",
        "poise.models.preprocessors.detection": "DetDataPreprocessor",
    },
    # what MMPose's projects/yolox_pose takes from MMYOLO, and adds to it
    "mmyolo": {
        "poise.training.optim.averages": "ExpMomentumEMA",
        "poise.losses.similarity": "OksLoss=BoxOKSLoss",
        "poise.models.backbones.csp": "YOLOXCSPDarknet",
        "poise.models.detectors.yolox_pose": "YOLODetector YOLOXPoseHead=YOLOPoseHead "
        "YOLOXPoseHeadModule=YOLOPoseLayers",
        "poise.models.necks.yolo_pafpn": "YOLOXPAFPN=YOLOPAFPN",
        "poise.models.preprocessors.batch_resize": "PoseBatchSyncRandomResize="
        "BatchSyncRandomResize",
    },
    "mmpretrain": {
        "poise.models.backbones.timm_backbone": "TIMMBackbone=PretrainTIMMBackbone",
        "poise.models.backbones.vision_transformer": "VisionTransformer",
        "poise.layers.norms": "LN2d=LayerNorm2d",
    },
    "poise": {
        "poise.layers.norms": "LN2d=LayerNorm2d",
        "poise.models.backbones.movenet": "MoveNetBackbone",
        "poise.models.backbones.timm_backbone": "TIMMBackbone",
        "poise.models.backbones.windowed_vit": "WindowedVisionTransformer",
        "poise.models.detectors.nanodet_model": "NanoDet=NanoDetModel NanoDetHead",
        "poise.models.heads.movenet": "MoveNetHead",
        "poise.models.heads.rf_detr.head": "RFDETRHead",
        "poise.models.necks.movenet": "MoveNetFPN",
        "poise.models.necks.rf_detr": "RFDETRNeck",
    },
}
