# Parts as the guides of MMPose 1.x teach to write them; `poise migrate` turns the imports.
import os.path as osp
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmcv.cnn import build_conv_layer, build_norm_layer, build_upsample_layer
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset, force_full_init
from mmengine.fileio import exists, get_local_path, load
from mmengine.hooks import Hook
from mmengine.logging import MMLogger, MessageHub
from mmengine.model import BaseModule, constant_init, normal_init
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import Registry
from mmengine.structures import InstanceData, PixelData
from mmengine.utils import check_file_exist, is_list_of, is_tuple_of
from scipy.io import loadmat
from torch import Tensor, nn

from mmpose.datasets import BaseCocoStyleDataset, parse_pose_metainfo
from mmpose.datasets.transforms import LoadImage, RandomFlip
from mmpose.models.utils.tta import flip_coordinates
from mmpose.registry import (DATASETS, HOOKS, MODELS, OPTIM_WRAPPER_CONSTRUCTORS,
                             OPTIMIZERS, TRANSFORMS)
from mmpose.structures import PoseDataSample, merge_data_samples
from mmpose.structures.bbox import bbox_cs2xyxy, bbox_xywh2xyxy
from mmpose.utils.typing import (ConfigType, InstanceList, OptConfigType, OptSampleList,
                                 PixelDataList, SampleList)


@DATASETS.register_module()
class HeadBoxDataset(BaseCocoStyleDataset):
    """People with head boxes, as in the guide on datasets."""

    METAINFO: dict = dict(from_file='configs/_base_/datasets/mpii.py')

    def __init__(self, ann_file: str = '', headbox_file: Optional[str] = None,
                 test_mode: bool = False, data_mode: str = 'topdown',
                 pipeline: List[Union[dict, Callable]] = [], **kwargs):
        if headbox_file:
            if data_mode != 'topdown':
                raise ValueError(f'head boxes are for topdown mode, not {data_mode}')
            if not test_mode:
                raise ValueError('head boxes are for test_mode=True')
            if osp.splitext(headbox_file)[1] != '.mat':
                raise KeyError(f'head boxes come in a .mat file, not {headbox_file}')
        self.headbox_file = headbox_file
        super().__init__(ann_file=ann_file, test_mode=test_mode, data_mode=data_mode,
                         pipeline=pipeline, **kwargs)

    def _load_annotations(self) -> Tuple[List[dict], List[dict]]:
        check_file_exist(self.ann_file)
        assert exists(self.ann_file), 'no annotation file'
        with get_local_path(self.ann_file) as path:
            people = load(path)
        sizes = None
        if self.headbox_file:
            corners = loadmat(self.headbox_file)['headboxes_src']
            sizes = 0.6 * np.linalg.norm(corners[1] - corners[0], axis=0)
        instances, images = [], []
        for i, row in enumerate(people):
            center = np.array([row['center']], dtype=np.float32)
            scale = np.array([[row['scale'] * 200.0] * 2], dtype=np.float32)
            points = np.array([row['joints']], dtype=np.float32)
            item = dict(
                id=i, img_id=i, img_path=osp.join(self.data_prefix['img'], row['image']),
                bbox_center=center, bbox_scale=scale, bbox=bbox_cs2xyxy(center, scale),
                bbox_score=np.ones(1, dtype=np.float32), keypoints=points,
                keypoints_visible=np.array([row['joints_vis']], dtype=np.float32))
            if sizes is not None:
                item['head_size'] = np.array([sizes[i]], dtype=np.float32)
            instances.append(item)
            images.append(dict(img_id=i, img_path=item['img_path']))
        return instances, images


@MODELS.register_module()
class PlusNeck(BaseModule):
    """A neck on `build_*_layer`, with weights set by hand."""

    def __init__(self, in_channels: int, out_channels: int, init_cfg: OptConfigType = None):
        super().__init__(init_cfg)
        self.conv = build_conv_layer(dict(type='Conv2d'), in_channels, out_channels, 1)
        self.norm_name, norm = build_norm_layer(dict(type='BN'), out_channels, postfix=1)
        self.add_module(self.norm_name, norm)
        self.up = build_upsample_layer(dict(type='nearest', scale_factor=2))
        normal_init(self.conv, std=0.01)
        constant_init(norm, 1)

    def forward(self, feats: Tuple[Tensor, ...]) -> Tuple[Tensor, ...]:
        return (self.up(getattr(self, self.norm_name)(self.conv(feats[-1]))), )


@MODELS.register_module()
class PowerLoss(nn.Module):

    def __init__(self, power: float = 2.0, loss_weight: float = 1.0):
        super().__init__()
        self.power, self.loss_weight = power, loss_weight

    def forward(self, output, target, target_weight=None):
        loss = (output - target).abs()**self.power
        if target_weight is not None:
            loss = loss * target_weight[..., None]
        return loss.mean() * self.loss_weight


@OPTIMIZERS.register_module()
class SignSGD(torch.optim.Optimizer):

    def __init__(self, params, lr: float = 0.1):
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group['params']:
                if p.grad is not None:
                    p.add_(p.grad.sign(), alpha=-group['lr'])


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SlowNeckConstructor(DefaultOptimWrapperConstructor):
    """The constructor of the guide on optimizers: half the rate for necks."""

    def add_params(self, params, module, prefix='', **kwargs):
        for name, value in module.named_parameters():
            rate = self.base_lr * (0.5 if 'neck' in name else 1.0)
            params.append({'params': [value], 'lr': rate})


@TRANSFORMS.register_module()
class MirrorAll(BaseTransform):

    def __init__(self, prob: Union[float, List[float]] = 0.5) -> None:
        super().__init__()
        assert isinstance(prob, float) or is_list_of(prob, float)
        self.flip = RandomFlip(prob=prob)

    def transform(self, results: Dict) -> Optional[Dict]:
        return self.flip(results)

    def __repr__(self) -> str:
        return self.__class__.__name__ + f'(prob={self.flip.prob})'


@HOOKS.register_module()
class TellHook(Hook):
    priority = 'LOW'

    def after_train_epoch(self, runner) -> None:
        MMLogger.get_current_instance().info(f'epoch {runner.epoch}')
        MessageHub.get_current_instance().update_info('told', runner.epoch)
