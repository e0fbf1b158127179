"""PoseWarper: features of neighbouring frames moved onto one (Bertasius 2019, 1906.04016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from poise.errors import ArgumentError, ConfigError
from poise.layers import BaseModule, constant_init, normal_init, resize
from poise.layers.deform_conv import DeformConv2d
from poise.layers.residual import BasicBlock, Bottleneck
from poise.models.backbones.base import freeze, set_norm_eval
from poise.registry import MODELS

__all__ = ["PoseWarperNeck"]

BLOCKS: dict[str, type[nn.Module]] = {"BASIC": BasicBlock, "BOTTLENECK": Bottleneck}

#: residual blocks that look at the difference of two frames
NUM_BLOCKS = 20


@MODELS.register_module()
class PoseWarperNeck(BaseModule):
    """Maps of several frames -> one map, the others warped onto the first and weighted.

    Args:
        in_channels, out_channels: channels of the backbone's map and of the result.
        inner_channels: channels of the residual blocks.
        deform_groups: groups of the deformable convolutions.
        dilations: of the offset layers; there is one for each.
        trans_conv_kernel: kernel of the layer from features to heatmaps, 1 or 3; 0 for none.
        res_blocks_cfg: `block` ("BASIC" or "BOTTLENECK") and `num_blocks`.
        offsets_kernel, deform_conv_kernel: kernels of offset layers and convolutions.
        in_index: map, or maps, of the backbone that are used.
        input_transform: None takes the map `in_index`; "resize_concat" joins several.
        freeze_trans_layer: keep the layer `trans_layer` as it is.
        norm_eval: keep batch norms on their running statistics in training.
        im2col_step: accepted for MMPose's configs.

    Raises:
        ConfigError: other kernels, transforms or blocks, or no dilations.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        inner_channels: int,
        deform_groups: int = 17,
        dilations: Sequence[int] = (3, 6, 12, 18, 24),
        trans_conv_kernel: int = 1,
        res_blocks_cfg: Mapping[str, Any] | None = None,
        offsets_kernel: int = 3,
        deform_conv_kernel: int = 3,
        in_index: int | Sequence[int] = 0,
        input_transform: str | None = None,
        freeze_trans_layer: bool = True,
        norm_eval: bool = False,
        im2col_step: int = 80,
    ) -> None:
        super().__init__()
        if trans_conv_kernel not in (0, 1, 3):
            raise ConfigError(f"trans_conv_kernel must be 0, 1 or 3, got {trans_conv_kernel}")
        if input_transform not in (None, "resize_concat"):
            raise ConfigError(
                f"input_transform must be None or 'resize_concat', got {input_transform!r}"
            )
        if not dilations:
            raise ConfigError("PoseWarperNeck needs at least one dilation, got none")
        self.in_index, self.input_transform = in_index, input_transform
        self.freeze_trans_layer, self.norm_eval = freeze_trans_layer, norm_eval
        self.trans_layer: nn.Module = nn.Identity()
        if trans_conv_kernel:
            self.trans_layer = nn.Conv2d(
                in_channels, out_channels, trans_conv_kernel, padding=trans_conv_kernel // 2
            )
        self.offset_feats = _difference_layers(out_channels, inner_channels, res_blocks_cfg or {})
        offsets = 2 * offsets_kernel**2 * deform_groups
        self.offset_layers = nn.ModuleList(
            nn.Conv2d(inner_channels, offsets, offsets_kernel, padding=d, dilation=d, bias=False)
            for d in dilations
        )
        self.deform_conv_layers = nn.ModuleList(
            DeformConv2d(
                out_channels,
                out_channels,
                deform_conv_kernel,
                padding=deform_conv_kernel // 2 * d,
                dilation=d,
                deform_groups=deform_groups,
                im2col_step=im2col_step,
            )
            for d in dilations
        )
        self.freeze_layers()

    def freeze_layers(self) -> None:
        """Stop the training of `trans_layer`, where `freeze_trans_layer` says so."""
        if self.freeze_trans_layer:
            freeze([self.trans_layer])

    def init_weights(self) -> None:
        """Start as the mean of the frames: no offsets, and convolutions that copy."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                normal_init(module, std=0.001)
            elif isinstance(module, (_BatchNorm, nn.GroupNorm)):
                constant_init(module, 1)
            elif isinstance(module, DeformConv2d):
                nn.init.dirac_(module.weight)
        for layer in self.offset_layers:
            constant_init(layer, 0)
        self._is_init = True

    def train(self, mode: bool = True) -> PoseWarperNeck:
        """Set the mode, but keep the frozen layer and, with `norm_eval`, batch norms at rest."""
        super().train(mode)
        self.freeze_layers()
        if mode and self.norm_eval:
            set_norm_eval(self)
        return self

    def _select(self, maps: Any) -> Tensor:
        """The map that is used, (B, C, H, W)."""
        if isinstance(maps, Tensor):
            return maps
        if self.input_transform is None:
            return maps[self.in_index]
        indices = [self.in_index] if isinstance(self.in_index, int) else self.in_index
        height, width = maps[indices[0]].shape[2:]
        resized = [resize(maps[i], (height, width), mode="bilinear") for i in indices]
        return torch.cat(resized, dim=1)

    def forward(self, inputs: Sequence[Any], frame_weight: Sequence[float]) -> Tensor:
        """Heatmaps of the first frame.

        Args:
            inputs: outputs of the backbone for each frame; or one output whose batch holds all
                frames, frame by frame, (T * B, C, H, W).
            frame_weight: T factors; frames of weight 0 are left out.

        Returns:
            (B, out_channels, H, W).

        Raises:
            ArgumentError: `inputs` is no list, or another number of frames than weights.
        """
        if not isinstance(inputs, (list, tuple)):
            raise ArgumentError(
                "PoseWarperNeck takes a list of outputs, also where it has one entry; got "
                f"{type(inputs).__name__}"
            )
        count = len(frame_weight)
        if len(inputs) > 1:
            if len(inputs) != count:
                raise ArgumentError(f"got {len(inputs)} frames and {count} weights")
            maps = [self.trans_layer(self._select(frame)) for frame in inputs]
            differences = [self.offset_feats(maps[0] - frame) for frame in maps]
        else:
            joined = self.trans_layer(self._select(inputs[0]))
            if joined.shape[0] % count:
                raise ArgumentError(f"a batch of {joined.shape[0]} does not hold {count} frames")
            maps = list(joined.chunk(count))
            first = maps[0].repeat(count, 1, 1, 1)
            differences = list(self.offset_feats(first - joined).chunk(count))
        total = torch.zeros_like(maps[0])
        for frame, difference, weight in zip(maps, differences, frame_weight, strict=True):
            if weight != 0:
                total = total + self._warp(frame, difference) * weight
        return total

    def _warp(self, frame: Tensor, difference: Tensor) -> Tensor:
        """A frame moved by the offsets that its difference tells, mean over the dilations."""
        layers = zip(self.offset_layers, self.deform_conv_layers, strict=True)
        warped = [convolve(frame, offsets(difference)) for offsets, convolve in layers]
        return torch.stack(warped).mean(dim=0)


def _difference_layers(in_channels: int, channels: int, cfg: Mapping[str, Any]) -> nn.Sequential:
    """Residual blocks; the first one always projects its input, as in released weights."""
    name = cfg.get("block", "BASIC")
    if name not in BLOCKS:
        raise ConfigError(f"the block of PoseWarperNeck must be of {list(BLOCKS)}, got {name!r}")
    projection = nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels)
    )
    block = BLOCKS[name]
    rest = [block(channels, channels) for _ in range(cfg.get("num_blocks", NUM_BLOCKS) - 1)]
    return nn.Sequential(block(in_channels, channels, downsample=projection), *rest)
