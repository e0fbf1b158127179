"""Hybrid encoder: attention on the coarsest map, convolutions across maps (Zhao 2023, RT-DETR)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.layers import BaseModule, ConvModule, ModuleList
from poise.layers.paths import aggregate_paths, check_maps
from poise.layers.rep_vgg import RepVGGBlock
from poise.layers.sine_position import SinePositionalEncoding
from poise.layers.transformer import DetrTransformerEncoder
from poise.registry import MODELS

__all__ = ["HybridEncoder"]

Config = Mapping[str, Any]
BN: Config = {"type": "BN", "requires_grad": True}
SILU: Config = {"type": "SiLU", "inplace": True}

#: blocks of a fusion layer, times `deepen_factor`
FUSION_BLOCKS = 3


class CSPRepLayer(BaseModule):
    """Half through `RepVGGBlock`s, half past them: (B, C, H, W) -> (B, C', H, W).

    Args:
        in_channels, out_channels: C and C'.
        num_blocks: blocks.
        widen_factor: channels of each half relative to C'.
        norm_cfg, act_cfg: for all layers; blocks have plain batch norms.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_blocks: int = FUSION_BLOCKS,
        widen_factor: float = 1.0,
        norm_cfg: Config = BN,
        act_cfg: Config = SILU,
    ) -> None:
        super().__init__()
        hidden = int(out_channels * widen_factor)
        cfgs = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.conv1 = ConvModule(in_channels, hidden, 1, **cfgs)
        self.conv2 = ConvModule(in_channels, hidden, 1, **cfgs)
        self.bottlenecks = nn.Sequential(
            *(RepVGGBlock(hidden, hidden, act_cfg=act_cfg) for _ in range(num_blocks))
        )
        self.conv3 = (
            nn.Identity() if hidden == out_channels else ConvModule(hidden, out_channels, 1, **cfgs)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        return self.conv3(self.bottlenecks(self.conv1(x)) + self.conv2(x))


@MODELS.register_module()
class HybridEncoder(BaseModule):
    """Neck of RTMO: maps of a backbone, finest first -> maps of `hidden_dim` channels.

    Args:
        encoder_cfg: arguments of the attention layers.
        projector: module config for the resulting maps, or None.
        num_encoder_layers: attention layers; 0 for none.
        in_channels: channels of each input map.
        feat_strides: strides of the maps.
        hidden_dim: channels inside.
        use_encoder_idx: maps that get attention.
        pe_temperature: of the position encoding.
        widen_factor, deepen_factor: of channels and blocks in fusion layers.
        spe_learnable: train the position encoding's frequencies.
        output_indices: maps to return; None for all.
        norm_cfg, act_cfg: for all convolutions.
    """

    def __init__(
        self,
        encoder_cfg: Config = {},  # noqa: B006 (never changed)
        projector: Config | None = None,
        num_encoder_layers: int = 1,
        in_channels: Sequence[int] = (512, 1024, 2048),
        feat_strides: Sequence[int] = (8, 16, 32),
        hidden_dim: int = 256,
        use_encoder_idx: Sequence[int] = (2,),
        pe_temperature: float = 10000,
        widen_factor: float = 1.0,
        deepen_factor: float = 1.0,
        spe_learnable: bool = False,
        output_indices: Sequence[int] | None = None,
        norm_cfg: Config = BN,
        act_cfg: Config = SILU,
    ) -> None:
        super().__init__()
        self.in_channels, self.feat_strides = in_channels, feat_strides
        self.hidden_dim, self.output_indices = hidden_dim, output_indices
        self.use_encoder_idx, self.num_encoder_layers = use_encoder_idx, num_encoder_layers
        linear = {"norm_cfg": norm_cfg, "act_cfg": None}
        cfgs = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.input_proj = ModuleList(ConvModule(c, hidden_dim, 1, **linear) for c in in_channels)
        if use_encoder_idx:
            self.encoder = ModuleList(
                DetrTransformerEncoder(num_encoder_layers, encoder_cfg) for _ in use_encoder_idx
            )
        self.sincos_pos_enc = SinePositionalEncoding(
            hidden_dim // 2, learnable=spe_learnable, temperature=pe_temperature, spatial_dim=2
        )
        steps = range(len(in_channels) - 1)
        blocks = round(FUSION_BLOCKS * deepen_factor)

        def fusion() -> ModuleList:
            options: dict[str, Any] = {"widen_factor": widen_factor, "act_cfg": act_cfg}
            return ModuleList(
                CSPRepLayer(2 * hidden_dim, hidden_dim, blocks, **options) for _ in steps
            )

        self.lateral_convs = ModuleList(
            ConvModule(hidden_dim, hidden_dim, 1, **cfgs) for _ in steps
        )
        self.fpn_blocks = fusion()
        self.downsample_convs = ModuleList(
            ConvModule(hidden_dim, hidden_dim, 3, stride=2, padding=1, **cfgs) for _ in steps
        )
        self.pan_blocks = fusion()
        self.enlarge = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.projector = None if projector is None else MODELS.build(projector)

    def _positions(self, index: int, height: int, width: int) -> Tensor:
        """Position encoding (1, H * W, C) for the encoder of a map."""
        kept = getattr(self, f"pos_enc_{index}", None)
        if kept is not None and kept.shape[1] == height * width:
            return kept
        encoding = self.sincos_pos_enc(size=(height, width))
        return encoding.transpose(-1, -2).reshape(1, height * width, -1)

    def _attend(self, index: int, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> the same, every pixel having seen all."""
        height, width = feature.shape[2:]
        # contiguous as in the reference: the layout decides how matrix products round
        tokens = feature.flatten(2).transpose(1, 2).contiguous()
        positions = self._positions(index, height, width).to(tokens.dtype)
        tokens = self.encoder[index](tokens, query_pos=positions, key_padding_mask=None)
        return tokens.transpose(1, 2).unflatten(2, (height, width))

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (B, C, H, W), finest first -> maps of `output_indices`, or of the projector.

        Raises:
            DataError: another number of maps than `in_channels` says.
        """
        check_maps(self, inputs, len(self.in_channels))
        maps = [project(x) for project, x in zip(self.input_proj, inputs, strict=True)]
        if self.num_encoder_layers > 0:
            for i, level in enumerate(self.use_encoder_idx):
                maps[level] = self._attend(i, maps[level])
        outs = aggregate_paths(
            maps,
            self.lateral_convs,
            self.fpn_blocks,
            self.downsample_convs,
            self.pan_blocks,
            self.enlarge,
        )
        if self.output_indices is not None:
            outs = [outs[i] for i in self.output_indices]
        return tuple(outs if self.projector is None else self.projector(outs))

    def switch_to_deploy(self, test_cfg: Config) -> None:
        """Keep the position encodings of one input size, so that none is computed in use.

        Args:
            test_cfg: `input_size` (height, width) of the network.
        """
        if self.num_encoder_layers <= 0:
            return
        for i, level in enumerate(self.use_encoder_idx):
            stride = self.feat_strides[level]
            height, width = (int(side / stride) for side in test_cfg["input_size"])
            self.register_buffer(f"pos_enc_{i}", self._positions(i, height, width))
