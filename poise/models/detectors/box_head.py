"""The second stage of the R-CNNs: features of a place -> its class and a better box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.geometry.kernels_torch import roi_align
from poise.layers import BaseModule, Linear
from poise.registry import MODELS, TASK_UTILS

__all__ = ["RoIAlign", "Shared2FCBBoxHead", "SingleRoIExtractor"]

Config = Mapping[str, Any]

DELTAS: Config = {"type": "mmdet.DeltaXYWHBBoxCoder", "target_stds": [0.1, 0.1, 0.2, 0.2]}
XAVIER: Config = {"type": "Xavier", "layer": "Linear", "distribution": "uniform"}
#: keeps the logarithm of an empty box defined
EPS = 1e-6


@MODELS.register_module(scope="mmcv")
class RoIAlign(nn.Module):
    """Features inside boxes, by bilinear interpolation (He 2017, arXiv 1703.06870, section 3).

    Args:
        output_size: rows and columns of the result.
        spatial_scale: cells of the map per pixel.
        sampling_ratio: points a cell along each side; 0: as many as the box has cells of the map.
        pool_mode: "avg", the mean of the points.
        aligned: pixel centres lie at half numbers.
        use_torchvision: kept for configs; it is always torchvision's kernel.

    Raises:
        ConfigError: another way of pooling.
    """

    def __init__(
        self,
        output_size: int | tuple[int, int],
        spatial_scale: float = 1.0,
        sampling_ratio: int = 0,
        pool_mode: str = "avg",
        aligned: bool = True,
        use_torchvision: bool = False,
    ) -> None:
        super().__init__()
        if pool_mode != "avg":
            raise ConfigError(f"RoIAlign pools by 'avg' alone, got pool_mode={pool_mode!r}")
        size = (output_size, output_size) if isinstance(output_size, int) else output_size
        self.output_size = size
        self.spatial_scale, self.sampling_ratio = spatial_scale, sampling_ratio
        self.aligned = aligned

    def forward(self, maps: Tensor, rois: Tensor) -> Tensor:
        """Maps (B, C, H, W), and rois (N, 5): picture and xyxy -> (N, C, h, w)."""
        return roi_align(
            maps,
            rois,
            self.output_size,
            scale=self.spatial_scale,
            samples=self.sampling_ratio,
            aligned=self.aligned,
        )


@MODELS.register_module(scope="mmdet")
class SingleRoIExtractor(BaseModule):
    """Features of boxes, each from the map that suits its size (Lin 2017, FPN, section 4.2).

    Args:
        roi_layer: config of `RoIAlign`.
        out_channels: channels C of the maps.
        featmap_strides: of the maps that are used, pixels.
        finest_scale: boxes of twice that side and more, in pixels, leave the finest map.
    """

    def __init__(
        self,
        roi_layer: Config,
        out_channels: int,
        featmap_strides: Sequence[int],
        finest_scale: int = 56,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.out_channels, self.finest_scale = out_channels, finest_scale
        self.featmap_strides = list(featmap_strides)
        layers = [
            MODELS.build({**roi_layer, "spatial_scale": 1 / stride}) for stride in featmap_strides
        ]
        self.roi_layers = nn.ModuleList(layers)

    @property
    def num_inputs(self) -> int:
        """Number of maps that are used."""
        return len(self.featmap_strides)

    def levels(self, rois: Tensor) -> Tensor:
        """The map (N,) of each of rois (N, 5)."""
        side = (rois[:, 3:] - rois[:, 1:3]).prod(1).sqrt()
        levels = (side / self.finest_scale + EPS).log2().floor()
        return levels.clamp(0, self.num_inputs - 1).long()

    def forward(self, feats: Sequence[Tensor], rois: Tensor) -> Tensor:
        """Feature maps (B, C, H, W), finest first, and rois (N, 5) -> (N, C, h, w).

        Maps beyond those of `featmap_strides` are not looked at.
        """
        first: Any = self.roi_layers[0]
        found = feats[0].new_zeros(len(rois), self.out_channels, *first.output_size)
        levels = self.levels(rois)
        for number, (layer, maps) in enumerate(zip(self.roi_layers, feats, strict=False)):
            rows = (levels == number).nonzero().squeeze(1)
            if len(rows):
                found[rows] = layer(maps, rois[rows].type_as(maps))
        return found


@MODELS.register_module(scope="mmdet")
class Shared2FCBBoxHead(BaseModule):
    """Two linear layers, then class logits and moves of boxes; for prediction.

    Args:
        fc_out_channels: of the two layers.
        in_channels: channels of the features.
        roi_feat_size: their rows and columns.
        num_classes: classes C; there is one more for nothing, the last one.
        bbox_coder: config or object, moves -> boxes.
        reg_class_agnostic: one box for all classes.
        reg_decoded_bbox, loss_cls, loss_bbox, predict_box_type: kept for configs.
    """

    def __init__(
        self,
        fc_out_channels: int = 1024,
        *,
        in_channels: int = 256,
        roi_feat_size: int | tuple[int, int] = 7,
        num_classes: int = 80,
        bbox_coder: Any = DELTAS,
        reg_class_agnostic: bool = False,
        reg_decoded_bbox: bool = False,
        loss_cls: Any = None,
        loss_bbox: Any = None,
        predict_box_type: str = "hbox",
        init_cfg: Any = XAVIER,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes, self.reg_class_agnostic = num_classes, reg_class_agnostic
        self.bbox_coder = TASK_UTILS.build(bbox_coder)
        size = (roi_feat_size,) * 2 if isinstance(roi_feat_size, int) else roi_feat_size
        boxes = 1 if reg_class_agnostic else num_classes
        self.fc_cls = Linear(fc_out_channels, num_classes + 1)
        self.fc_reg = Linear(fc_out_channels, boxes * self.bbox_coder.encode_size)
        area = in_channels * size[0] * size[1]
        self.shared_fcs = nn.ModuleList(
            Linear(width, fc_out_channels) for width in (area, fc_out_channels)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, C', h, w) -> class logits (N, C + 1) and moves (N, boxes * 4)."""
        x = x.flatten(1)
        for layer in self.shared_fcs:
            x = F.relu(layer(x))
        return self.fc_cls(x), self.fc_reg(x)

    def boxes(
        self, rois: Tensor, moves: Tensor, labels: Tensor, max_shape: Sequence[int]
    ) -> Tensor:
        """Boxes (N, 4) xyxy, input space, of certain classes.

        Args:
            rois: (N, 4) xyxy, input space.
            moves: (N, boxes * 4).
            labels: (N,) classes.
            max_shape: (height, width) that boxes are cut at.
        """
        moves = moves.unflatten(1, (-1, self.bbox_coder.encode_size))
        place = torch.zeros_like(labels) if self.reg_class_agnostic else labels
        own = moves[torch.arange(len(moves), device=moves.device), place]
        found: Tensor = self.bbox_coder.decode(rois, own, max_shape=max_shape)
        return found
