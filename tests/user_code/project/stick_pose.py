# What a user of MMPose 1.x has: every kind of part, registered by decorators.
import json
import os.path as osp
from typing import Optional, Tuple

import numpy as np
import torch
from mmcv.cnn import ConvModule, build_norm_layer
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.structures import InstanceData
from torch import nn

from mmpose.codecs.base import BaseKeypointCodec
from mmpose.codecs.utils import get_heatmap_maximum
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.evaluation.functional import keypoint_epe
from mmpose.models.backbones.base_backbone import BaseBackbone
from mmpose.models.heads.base_head import BaseHead
from mmpose.models.utils.tta import flip_heatmaps
from mmpose.registry import (DATASETS, HOOKS, KEYPOINT_CODECS, METRICS, MODELS,
                             TRANSFORMS)
from mmpose.structures.bbox import bbox_cs2xyxy
from mmpose.utils.tensor_utils import to_numpy
from mmpose.utils.typing import ConfigType, Features, OptSampleList, Predictions


@DATASETS.register_module(name='StickDataset')
class StickDataset(BaseCocoStyleDataset):
    METAINFO: dict = dict(from_file='stick_meta.py')

    def __init__(self, ann_file: str = '', thickness: Optional[int] = None, **kwargs):
        self.thickness = thickness
        super().__init__(ann_file=ann_file, **kwargs)

    def _load_annotations(self) -> Tuple[list, list]:
        with open(self.ann_file) as f:
            rows = json.load(f)
        instances, images = [], []
        for i, row in enumerate(rows):
            center = np.array(row['center'], dtype=np.float32)[None]
            scale = np.array(row['scale'], dtype=np.float32)[None]
            keypoints = np.array(row['points'], dtype=np.float32)[None]
            path = osp.join(self.data_prefix['img'], row['file'])
            images.append(dict(img_id=i, img_path=path))
            instances.append(
                dict(
                    id=i, img_id=i, img_path=path,
                    bbox_center=center, bbox_scale=scale,
                    bbox=bbox_cs2xyxy(center, scale),
                    bbox_score=np.ones(1, dtype=np.float32),
                    keypoints=keypoints,
                    keypoints_visible=np.ones(keypoints.shape[:2], dtype=np.float32)))
        return instances, images


@TRANSFORMS.register_module()
class Fade(BaseTransform):

    def __init__(self, prob=0.5):
        self.prob = prob

    @cache_randomness
    def _factor(self):
        return 0.8 if np.random.rand() < self.prob else 1.0

    def transform(self, results):
        results['img'] = (results['img'] * self._factor()).astype(np.uint8)
        return results


@KEYPOINT_CODECS.register_module()
class DiscHeatmap(BaseKeypointCodec):
    label_mapping_table = dict(keypoint_weights='keypoint_weights')
    field_mapping_table = dict(heatmaps='heatmaps')

    def __init__(self, input_size, heatmap_size, radius=1.5):
        self.input_size = input_size
        self.heatmap_size = heatmap_size
        self.radius = radius
        self.scale_factor = (np.array(input_size) / heatmap_size).astype(np.float32)

    def encode(self, keypoints, keypoints_visible=None):
        if keypoints_visible is None:
            keypoints_visible = np.ones(keypoints.shape[:2], dtype=np.float32)
        w, h = self.heatmap_size
        at = keypoints[0] / self.scale_factor
        d = np.hypot(np.arange(w) - at[:, 0, None, None],
                     np.arange(h)[:, None] - at[:, 1, None, None])
        heatmaps = np.exp(-(d / self.radius)**2).astype(np.float32)
        return dict(heatmaps=heatmaps, keypoint_weights=keypoints_visible.copy())

    def decode(self, encoded):
        keypoints, scores = get_heatmap_maximum(encoded)
        return keypoints[None] * self.scale_factor, scores[None]


@MODELS.register_module()
class StickNet(BaseBackbone):

    def __init__(self, channels=16, init_cfg=dict(type='Kaiming', layer='Conv2d')):
        super().__init__(init_cfg=init_cfg)
        self.stem = ConvModule(3, channels, 3, stride=2, padding=1, norm_cfg=dict(type='BN'))
        self.name, norm = build_norm_layer(dict(type='BN'), channels)
        self.body = nn.Sequential(
            ConvModule(channels, channels, 3, stride=2, padding=1), norm,
            ConvModule(channels, channels, 3, padding=1))

    def forward(self, x):
        return (self.body(self.stem(x)), )


@MODELS.register_module()
class StickHead(BaseHead):

    def __init__(self, in_channels, out_channels, loss=dict(type='KeypointMSELoss'),
                 decoder=None, init_cfg=None):
        super().__init__(init_cfg)
        self.out_channels = out_channels
        self.loss_module = MODELS.build(loss)
        self.decoder = KEYPOINT_CODECS.build(decoder)
        self.final = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, feats):
        return self.final(feats[-1])

    def predict(self, feats: Features, batch_data_samples: OptSampleList,
                test_cfg: ConfigType = {}) -> Predictions:
        if test_cfg.get('flip_test', False):
            feats, flipped = feats
            heatmaps = self.forward(feats)
            indices = batch_data_samples[0].metainfo['flip_indices']
            heatmaps = 0.5 * (heatmaps + flip_heatmaps(
                self.forward(flipped), flip_mode='heatmap', flip_indices=indices,
                shift_heatmap=test_cfg.get('shift_heatmap', False)))
        else:
            heatmaps = self.forward(feats)
        preds = self.decode(heatmaps)
        assert isinstance(preds[0], InstanceData)
        return preds

    def loss(self, feats, batch_data_samples, train_cfg={}):
        heatmaps = self.forward(feats)
        target = torch.stack([d.gt_fields.heatmaps for d in batch_data_samples])
        weights = torch.cat(
            [d.gt_instance_labels.keypoint_weights for d in batch_data_samples])
        loss = self.loss_module(heatmaps, target, weights)
        return dict(loss_kpt=loss, peak=heatmaps.detach().amax())


@METRICS.register_module()
class MeanDistance(BaseMetric):
    default_prefix = 'stick'

    def process(self, data_batch, data_samples):
        for sample in data_samples:
            pred = to_numpy(sample['pred_instances']['keypoints'])
            gt = to_numpy(sample['gt_instances']['keypoints'])
            self.results.append(dict(pred=pred, gt=gt))

    def compute_metrics(self, results):
        pred = np.concatenate([r['pred'] for r in results])
        gt = np.concatenate([r['gt'] for r in results])
        mask = np.ones(gt.shape[:2], dtype=bool)
        return dict(distance=keypoint_epe(pred, gt, mask), n=len(gt))


@HOOKS.register_module()
class CountHook(Hook):
    seen = []

    def before_train(self, runner):
        CountHook.seen = [('work_dir', osp.isdir(runner.work_dir))]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        CountHook.seen.append((runner.epoch, runner.iter, batch_idx))

    def after_val_epoch(self, runner, metrics=None):
        CountHook.seen.append(('val', sorted(metrics)))
