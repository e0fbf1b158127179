"""HRFormer: HRNet whose branches attend inside windows (Yuan 2021, arXiv 2110.09408)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from poise._options import options_of
from poise.errors import ConfigError
from poise.layers import BaseModule, Conv2d, DropPath, build_activation_layer, build_norm_layer
from poise.layers.drop import drop_path_rates
from poise.layers.patches import nchw_to_nlc
from poise.layers.residual import Bottleneck
from poise.layers.window_attention import (
    WindowMSA,
    attend_in_windows,
    split_windows,
    window_padding,
)
from poise.models.backbones.base import ShortForm
from poise.models.backbones.hr_module import HRModule, separable_norm
from poise.models.backbones.hrnet import HRNet
from poise.registry import MODELS

__all__ = ["HRFormer"]

Config = Mapping[str, Any]
LN: Config = {"type": "LN", "eps": 1e-6}
SYNC_BN: Config = {"type": "SyncBN"}
GELU: Config = {"type": "GELU"}
BILINEAR: Config = {"mode": "bilinear", "align_corners": False}


class LocalWindowSelfAttention(BaseModule):
    """Attention inside windows that tile the map, padded on all sides: (B, H * W, C) -> the same.

    Args:
        embed_dims, num_heads: C and heads.
        window_size: side of a window, or (h, w).
        with_pad_mask: keep padding out of the attention, where both sides are padded.
        **attention: further arguments of `WindowMSA`.
    """

    @options_of(WindowMSA, positional=True)
    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: int | Sequence[int],
        *,
        with_pad_mask: bool = False,
        init_cfg: Any = None,
        **attention: Any,
    ) -> None:
        super().__init__(init_cfg)
        self.window_size = _pair(window_size)
        self.with_pad_mask = with_pad_mask
        self.attn = WindowMSA(embed_dims, num_heads, self.window_size, **attention)

    def forward(self, x: Tensor, H: int, W: int) -> Tensor:
        """Tokens (B, H * W, C) -> (B, H * W, C)."""
        B, _, C = x.shape
        mask = self._mask(H, W, x)
        out = attend_in_windows(
            x.view(B, H, W, C),
            self.window_size,
            lambda windows: self.attn(windows, mask),
            centred=True,
        )
        return out.reshape(B, H * W, C)

    def _mask(self, H: int, W: int, x: Tensor) -> Tensor | None:
        """(windows, L, L): minus infinity for padding, which nothing looks at."""
        left, right, top, below = window_padding(H, W, self.window_size, centred=True)
        if not (self.with_pad_mask and left + right and top + below):
            return None
        inside = F.pad(x.new_zeros(1, H, W, 1), (0, 0, left, right, top, below), value=-torch.inf)
        mask = split_windows(inside, self.window_size).transpose(1, 2)
        return mask.expand(-1, mask.shape[-1], -1)


class CrossFFN(BaseModule):
    """Feed-forward with a depthwise convolution, so that windows see their neighbours.

    (B, H * W, C) -> (B, H * W, C').

    Args:
        in_features, hidden_features, out_features: C, channels between, and C'.
        act_cfg, dw_act_cfg: activations; of the middle one.
        norm_cfg: of all norms.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int | None = None,
        out_features: int | None = None,
        act_cfg: Config = GELU,
        dw_act_cfg: Config = GELU,
        norm_cfg: Config = SYNC_BN,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        hidden, out = hidden_features or in_features, out_features or in_features
        convs = {
            "fc1": Conv2d(in_features, hidden, 1),
            "dw3x3": Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
            "fc2": Conv2d(hidden, out, 1),
        }
        for i, (name, conv) in enumerate(convs.items(), start=1):
            self.add_module(name, conv)
            act = dw_act_cfg if name == "dw3x3" else act_cfg
            self.add_module(f"act{i}", build_activation_layer(act))
            self.add_module(f"norm{i}", build_norm_layer(norm_cfg, conv.out_channels)[1])

    def forward(self, x: Tensor, H: int, W: int) -> Tensor:
        """Tokens (B, H * W, C) -> (B, H * W, C')."""
        # a view in channels-last order, in which depthwise convolutions cost a third
        x = x.transpose(1, 2).view(-1, x.shape[2], H, W)
        x = self.act1(self.norm1(self.fc1(x)))
        x = self.act2(self.norm2(self.dw3x3(x)))
        x = self.act3(self.norm3(self.fc2(x)))
        return nchw_to_nlc(x)


class HRFormerBlock(BaseModule):
    """Window attention and feed-forward, each added: (B, C, H, W) -> the same.

    Args:
        in_features, out_features: C, twice.
        num_heads, window_size: of the attention.
        mlp_ratio: channels inside the feed-forward relative to C.
        drop_path: probability of stochastic depth.
        act_cfg, norm_cfg: of the feed-forward.
        transformer_norm_cfg: of the norms before each part.
        **kwargs: further arguments of the attention.
    """

    expansion = 1

    def __init__(
        self,
        in_features: int,
        out_features: int,
        num_heads: int,
        window_size: int = 7,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        act_cfg: Config = GELU,
        norm_cfg: Config = SYNC_BN,
        transformer_norm_cfg: Config = LN,
        init_cfg: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg)
        self.norm1 = build_norm_layer(transformer_norm_cfg, in_features)[1]
        self.attn = LocalWindowSelfAttention(in_features, num_heads, window_size, **kwargs)
        self.norm2 = build_norm_layer(transformer_norm_cfg, out_features)[1]
        hidden = int(in_features * mlp_ratio)
        self.ffn = CrossFFN(in_features, hidden, out_features, act_cfg, act_cfg, norm_cfg)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        H, W = x.shape[2:]
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens), H, W))
        tokens = tokens + self.drop_path(self.ffn(self.norm2(tokens), H, W))
        return tokens.transpose(1, 2).view(-1, tokens.shape[2], H, W)


class HRFormerModule(HRModule):
    """`HRModule` of attention blocks, with separable convolutions on the ways down.

    Args:
        *args: as `HRModule`.
        branch_options: for each branch the arguments that all its blocks share.
        drop_paths: probability of stochastic depth of each block.
        **kwargs: as `HRModule`.
    """

    def __init__(
        self,
        *args: Any,
        branch_options: Sequence[Config],
        drop_paths: Sequence[float],
        **kwargs: Any,
    ) -> None:
        self._branch_options, self._drop_paths = branch_options, drop_paths
        super().__init__(*args, **kwargs)

    def _branch(
        self, block: type, index: int, count: int, before: int, after: int, with_cp: bool
    ) -> nn.Module:
        if before != after:
            raise ConfigError(f"an HRFormer branch keeps its channels, got {before} and {after}")
        options: dict[str, Any] = {
            "norm_cfg": self._cfgs["norm_cfg"],
            **self._branch_options[index],
        }
        rates = self._drop_paths[:count]
        return nn.Sequential(*(block(before, after, drop_path=r, **options) for r in rates))

    def _step(self, before: int, after: int, stride: int, relu: bool) -> nn.Module:
        tail = [nn.ReLU(inplace=False)] if relu else []
        return separable_norm(before, after, stride, tail=tail, **self._cfgs)


@MODELS.register_module()
class HRFormer(HRNet):
    """High-resolution transformer: (B, 3, H, W) -> one map at stride 4, or four.

    Args:
        extra: as of `HRNet`; stages 2 to 4 have `num_heads`, `window_sizes` and `mlp_ratios`
            of each branch, too. Beside the stages `drop_path_rate`, `with_rpe` and
            `with_pad_mask`.
        in_channels, conv_cfg, norm_cfg: as `HRNet`.
        transformer_norm_cfg: of the norms before attention and feed-forward.
        **options: as `HRNet`.
    """

    blocks_dict = {"BOTTLENECK": Bottleneck, "HRFORMERBLOCK": HRFormerBlock}
    _module = HRFormerModule

    @options_of(HRNet, positional=True)
    def __init__(
        self,
        extra: Config,
        in_channels: int = 3,
        conv_cfg: Config | None = None,
        norm_cfg: Config = {"type": "BN", "requires_grad": True},  # noqa: B006 (never changed)
        transformer_norm_cfg: Config = LN,
        **options: Any,
    ) -> None:
        stages = {n: dict(extra[n]) for n in ("stage2", "stage3", "stage4")}
        depths = [s["num_blocks"][0] * s["num_modules"] for s in stages.values()]
        rates = drop_path_rates(extra["drop_path_rate"], depths)
        for stage, values in zip(stages.values(), rates, strict=True):
            stage["drop_path_rates"] = values
            stage["block_options"] = {
                "transformer_norm_cfg": transformer_norm_cfg,
                "with_rpe": extra.get("with_rpe", True),
                "with_pad_mask": extra.get("with_pad_mask", False),
            }
        super().__init__(
            {"upsample": BILINEAR, **extra, **stages}, in_channels, conv_cfg, norm_cfg, **options
        )

    def _make_module(
        self, stage: Config, widths: list[int], index: int, multiscale: bool, **options: Any
    ) -> nn.Module:
        count = stage["num_blocks"][0]
        settings = zip(stage["num_heads"], stage["window_sizes"], stage["mlp_ratios"], strict=True)
        options["branch_options"] = [
            {"num_heads": h, "window_size": w, "mlp_ratio": m, **stage["block_options"]}
            for h, w, m in settings
        ]
        rates = stage["drop_path_rates"][count * index : count * (index + 1)]
        return super()._make_module(stage, widths, index, multiscale, drop_paths=rates, **options)

    @classmethod
    def width(cls, channels: int, **kwargs: Any) -> HRFormer:
        """Not of this network: its published variants are `small` and `base`.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"HRFormer has no variant of width {channels}: take HRFormer.small() or "
            f"HRFormer.base(), or HRNet.width({channels})"
        )

    small = ShortForm()
    base = ShortForm()
