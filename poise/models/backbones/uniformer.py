"""UniFormer: convolutions first, attention after (Li 2022, arXiv 2201.09450)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import (
    BaseModule,
    Conv2d,
    DropPath,
    initialize,
    maybe_checkpoint,
)
from poise.layers.attention import SelfAttention
from poise.layers.drop import drop_path_rates
from poise.layers.transformer import Mlp
from poise.layers.window_attention import attend_in_windows
from poise.models.backbones.base import (
    TOKEN_INIT,
    BaseBackbone,
    ShortForm,
    check_entries,
    is_pretrained,
)
from poise.registry import MODELS

__all__ = ["UniFormer"]

Config = Mapping[str, Any]
#: in the hybrid form every so many blocks of the third stage see the whole map
HYBRID_PERIOD = 4


def _over_channels(norm: nn.Module, x: Tensor) -> Tensor:
    """Layer norm over the channels of (B, C, H, W)."""
    return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()


class _Patches(BaseModule):
    """Disjoint patches, and a norm: (B, C, H, W) -> (B, C', H / size, W / size)."""

    def __init__(self, in_channels: int, channels: int, size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.proj = Conv2d(in_channels, channels, size, stride=size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / size, W / size)."""
        return _over_channels(self.norm, self.proj(x))


class ConvBlock(BaseModule):
    """Local aggregation by a 5 x 5 depthwise convolution: (B, C, H, W) -> the same.

    Args:
        channels: C.
        mlp_ratio: channels inside the feed-forward, relative to C.
        drop: dropout of the feed-forward.
        drop_path: probability of stochastic depth.
    """

    def __init__(self, channels: int, mlp_ratio: float, drop: float, drop_path: float) -> None:
        super().__init__()
        self.pos_embed = Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = Conv2d(channels, channels, 1)
        self.conv2 = Conv2d(channels, channels, 1)
        self.attn = Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.BatchNorm2d(channels)
        pointwise = partial(Conv2d, kernel_size=1)
        self.mlp = Mlp(channels, int(channels * mlp_ratio), drop, pointwise)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        x = x + self.pos_embed(x)
        x = x + self.drop_path(self.conv2(self.attn(self.conv1(self.norm1(x)))))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class AttentionBlock(BaseModule):
    """Attention over the map, or inside windows of it: (B, C, H, W) -> the same.

    Args:
        channels, num_heads: C and heads.
        mlp_ratio, drop, drop_path: as `ConvBlock`.
        window_size: side of the windows; None for the whole map.
        qkv_bias, qk_scale, attn_drop: of the attention.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        mlp_ratio: float,
        drop: float,
        drop_path: float,
        *,
        window_size: int | None,
        qkv_bias: bool,
        qk_scale: float | None,
        attn_drop: float,
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.pos_embed = Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels)
        self.attn = SelfAttention(channels, num_heads, qkv_bias, qk_scale, attn_drop, drop)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, int(channels * mlp_ratio), drop)

    def _attend(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        if self.window_size is None:
            return self.attn(x.flatten(1, 2)).unflatten(1, x.shape[1:3])
        return attend_in_windows(x, self.window_size, self.attn)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        x = (x + self.pos_embed(x)).permute(0, 2, 3, 1)
        x = x + self.drop_path(self._attend(self.norm1(x)))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x.permute(0, 3, 1, 2).contiguous()


@MODELS.register_module()
class UniFormer(BaseBackbone):
    """Two stages of convolutions, two of attention: (B, 3, H, W) -> maps at 4, 8, 16, 32.

    Args:
        depths: blocks of each stage.
        img_size: accepted for MMPose's configs; any multiple of 32 fits.
        in_channels: channels of the picture.
        num_classes: accepted; there is no classifier.
        embed_dims: channels of each stage.
        head_dim: channels of an attention head.
        mlp_ratio: channels inside feed-forwards, relative to the stage's.
        qkv_bias, qk_scale: of the attention.
        representation_size: accepted; there is no classifier.
        drop_rate, attn_drop_rate, drop_path_rate: dropouts; stochastic depth grows to the last.
        norm_layer: makes the norm of each stage's output of its channels; None is
            `nn.LayerNorm` with eps 1e-6.
        use_checkpoint: recompute activations in the backward pass, of the first
        checkpoint_num: blocks of each stage.
        use_window: attention inside windows in the third stage.
        use_hybrid: the same, but every fourth block sees the whole map.
        window_size: side of the windows.

    Raises:
        ConfigError: lists that have not one number for each of four stages, or heads that do not
            divide the channels.
    """

    def __init__(
        self,
        depths: Sequence[int] = (3, 4, 8, 3),
        img_size: int = 224,
        in_channels: int = 3,
        num_classes: int = 80,
        embed_dims: Sequence[int] = (64, 128, 320, 512),
        head_dim: int = 64,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        representation_size: int | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        norm_layer: Callable[[int], nn.Module] | None = None,
        use_checkpoint: bool = False,
        checkpoint_num: Sequence[int] = (0, 0, 0, 0),
        use_window: bool = False,
        use_hybrid: bool = False,
        window_size: int = 14,
        init_cfg: Any = TOKEN_INIT,
    ) -> None:
        super().__init__(init_cfg)
        lists = {"depths": depths, "embed_dims": embed_dims, "checkpoint_num": checkpoint_num}
        check_entries(self, 4, "stages", lists)
        if any(width % head_dim for width in embed_dims[2:]):
            raise ConfigError(
                f"the channels of UniFormer's third and fourth stage, {tuple(embed_dims[2:])}, "
                f"must be multiples of {head_dim=}"
            )
        self.embed_dims, self.num_features = embed_dims, embed_dims
        self.checkpoint_num = tuple(checkpoint_num) if use_checkpoint else (0, 0, 0, 0)
        attention: dict[str, Any] = dict(
            qkv_bias=qkv_bias, qk_scale=qk_scale, attn_drop=attn_drop_rate
        )
        rates = drop_path_rates(drop_path_rate, depths)

        def block(stage: int, index: int) -> nn.Module:
            shape = (mlp_ratio, drop_rate, rates[stage][index])
            if stage < 2:
                return ConvBlock(embed_dims[stage], *shape)
            sees_all = use_hybrid and not use_window and (index + 1) % HYBRID_PERIOD == 0
            windows = stage == 2 and (use_window or use_hybrid) and not sees_all
            size = window_size if windows else None
            heads = embed_dims[stage] // head_dim
            return AttentionBlock(embed_dims[stage], heads, *shape, window_size=size, **attention)

        make_norm = norm_layer or partial(nn.LayerNorm, eps=1e-6)
        befores = (in_channels, *embed_dims[:3])
        for i, (before, width) in enumerate(zip(befores, embed_dims, strict=True)):
            self.add_module(f"patch_embed{i + 1}", _Patches(before, width, 2 if i else 4))
        self.drop_after_pos = nn.Dropout(drop_rate)
        for i, (depth, width) in enumerate(zip(depths, embed_dims, strict=True)):
            self.add_module(f"blocks{i + 1}", nn.ModuleList(block(i, j) for j in range(depth)))
            self.add_module(f"norm{i + 1}", make_norm(width))

    def init_weights(self) -> None:
        """Apply `init_cfg`; what a file does not fill starts as a cut Gaussian."""
        if is_pretrained(self):
            initialize(self, TOKEN_INIT)
        super().init_weights()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> four maps (B, C, H / stride, W / stride), strides 4, 8, 16, 32."""
        outs = []
        for i, recomputed in enumerate(self.checkpoint_num):
            x = getattr(self, f"patch_embed{i + 1}")(x)
            if i == 0:
                x = self.drop_after_pos(x)
            for j, layer in enumerate(getattr(self, f"blocks{i + 1}")):
                x = maybe_checkpoint(layer, j < recomputed, x)
            outs.append(_over_channels(getattr(self, f"norm{i + 1}"), x))
        return tuple(outs)

    small = ShortForm()
    base = ShortForm()
