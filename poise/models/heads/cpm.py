"""Multi-stage heatmap head of Convolutional Pose Machines and Stacked Hourglass networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.models.flip import unflip_heatmaps
from poise.models.heads.base import BaseHead
from poise.models.heads.deconv import check_lengths, deconv_stack, last_conv
from poise.models.heads.defaults import HEATMAP_INIT, HEATMAP_LOSS
from poise.models.heads.staged import build_losses, check_count, loss_of
from poise.models.heads.targets import heatmap_accuracy, labels, stacked_fields
from poise.registry import MODELS

__all__ = ["CPMHead"]


@MODELS.register_module()
class CPMHead(BaseHead):
    """A branch of deconvolutions and one convolution for each stage of the backbone.

    Every stage is supervised; the last one answers (Wei 2016, arXiv 1602.00134; Newell 2016,
    arXiv 1603.06937).

    Args:
        in_channels: channels of each stage's feature map.
        out_channels: channels of the heatmaps.
        num_stages: number of stages.
        deconv_out_channels: channels of each deconvolution; None for none.
        deconv_kernel_sizes: kernel size of each.
        final_layer: arguments of the last layer; None for none.
        loss: config or module, or a list with one for each stage.
        decoder: codec or its config.

    Raises:
        ConfigError: lists of the wrong length.
    """

    _version = 2
    default_init_cfg = HEATMAP_INIT
    unflip = staticmethod(unflip_heatmaps)

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int,
        num_stages: int,
        deconv_out_channels: Sequence[int] | None = None,
        deconv_kernel_sizes: Sequence[int] | None = None,
        final_layer: Mapping[str, Any] | None = {"kernel_size": 1},
        loss: Any = HEATMAP_LOSS,
        decoder: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_stages = num_stages
        self.in_channels = in_channels = self.single_width(in_channels)
        self.out_channels = out_channels
        self.loss_module = build_losses(self, loss, num_stages, "num_stages")
        self.decoder = self.build_decoder(decoder)
        stages = range(num_stages)
        channels = in_channels
        if deconv_out_channels:
            deconv_kernel_sizes = deconv_kernel_sizes or ()
            check_lengths(
                self,
                deconv_out_channels=deconv_out_channels,
                deconv_kernel_sizes=deconv_kernel_sizes,
            )
            self.multi_deconv_layers = nn.ModuleList(
                deconv_stack(self, channels, deconv_out_channels, deconv_kernel_sizes)
                for _ in stages
            )
            channels = deconv_out_channels[-1]
        else:
            self.multi_deconv_layers = nn.ModuleList(nn.Identity() for _ in stages)
        self.multi_final_layers = nn.ModuleList(
            last_conv(final_layer, channels, out_channels) or nn.Identity() for _ in stages
        )

    def forward(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """Heatmaps (B, K, H, W) of each stage.

        Raises:
            ConfigError: as many feature maps as stages are needed.
        """
        check_count(self, feats, self.num_stages, "num_stages")
        branches = zip(self.multi_deconv_layers, self.multi_final_layers, feats, strict=True)
        return [final(deconv(feat)) for deconv, final, feat in branches]

    def test_forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Heatmaps of the last stage."""
        return self.forward(feats)[-1]

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """`loss_kpt`, summed over the stages, and `acc_pose` of the last one."""
        stages = self.forward(feats)
        targets = stacked_fields(batch_data_samples)
        weights = labels(batch_data_samples, "keypoint_weights")
        self.check_targets(stages[-1], targets, batch_data_samples)
        loss = sum(
            loss_of(self.loss_module, i)(heatmaps, targets, weights)
            for i, heatmaps in enumerate(stages)
        )
        return {"loss_kpt": loss, "acc_pose": heatmap_accuracy(stages[-1], targets, weights)}
