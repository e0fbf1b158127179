"""The usual head of top-down models: upsample features into one heatmap a keypoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.models.flip import unflip_heatmaps
from poise.models.heads.base import BaseHead, last_map
from poise.models.heads.deconv import (
    Finish,
    batch_norm_relu,
    check_lengths,
    conv_stack,
    deconv_stack,
    last_conv,
)
from poise.models.heads.defaults import HEATMAP_INIT, HEATMAP_LOSS
from poise.models.heads.targets import heatmap_accuracy, labels, stacked_fields
from poise.models.renames import Rename, rename_old_keys
from poise.registry import MODELS

__all__ = ["HeatmapHead"]


@MODELS.register_module()
class HeatmapHead(BaseHead):
    """Deconvolutions, convolutions and a last layer that gives the heatmaps.

    Xiao 2018, "Simple Baselines for Human Pose Estimation and Tracking", section 2.

    Args:
        in_channels: channels of the last feature map.
        out_channels: channels of the heatmaps.
        deconv_out_channels: channels of each deconvolution; None or empty for none.
        deconv_kernel_sizes: kernel size of each: 2, 3 or 4.
        conv_out_channels: channels of each convolution after them; None for none.
        conv_kernel_sizes: kernel size of each.
        final_layer: arguments of the last layer; None for none.
        loss: config or module.
        decoder: codec or its config.

    Raises:
        ConfigError: channels and kernel sizes of different lengths.
    """

    _version = 2
    default_init_cfg = HEATMAP_INIT
    finish: Finish = staticmethod(batch_norm_relu)
    unflip = staticmethod(unflip_heatmaps)

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int,
        deconv_out_channels: Sequence[int] | None = (256, 256, 256),
        deconv_kernel_sizes: Sequence[int] | None = (4, 4, 4),
        conv_out_channels: Sequence[int] | None = None,
        conv_kernel_sizes: Sequence[int] | None = None,
        final_layer: Mapping[str, Any] | None = {"kernel_size": 1},
        loss: Any = HEATMAP_LOSS,
        decoder: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels = self.single_width(in_channels)
        self.out_channels = out_channels
        self.loss_module = MODELS.build(loss)
        self.decoder = self.build_decoder(decoder)
        channels = self._add_deconv_layers(
            in_channels, deconv_out_channels, deconv_kernel_sizes=deconv_kernel_sizes
        )
        self.conv_layers: nn.Module = nn.Identity()
        if conv_out_channels:
            conv_kernel_sizes = conv_kernel_sizes or ()
            check_lengths(
                self, conv_out_channels=conv_out_channels, conv_kernel_sizes=conv_kernel_sizes
            )
            self.conv_layers = conv_stack(
                channels, conv_out_channels, conv_kernel_sizes, self.finish
            )
            channels = conv_out_channels[-1]
        self.final_layer = last_conv(final_layer, channels, out_channels) or nn.Identity()
        self._rename_old_keys()

    def _add_deconv_layers(
        self, channels: int, out_channels: Sequence[int] | None, **settings: Sequence[int] | None
    ) -> int:
        """Set `deconv_layers`; return the channels that come out of them.

        Args:
            channels: of the feature map.
            out_channels: of each layer.
            **settings: kernel sizes and groups of each layer, by the constructor's names.
        """
        if not out_channels:
            self.deconv_layers: nn.Module = nn.Identity()
            return channels
        check_lengths(self, deconv_out_channels=out_channels, **settings)
        self.deconv_layers = deconv_stack(
            self,
            channels,
            out_channels,
            settings["deconv_kernel_sizes"] or (),
            settings.get("deconv_num_groups"),
            self.finish,
        )
        return out_channels[-1]

    def _rename_old_keys(self) -> None:
        """In 0.x all layers after the deconvolutions were one sequence, `final_layer`."""
        count = len(self.conv_layers) if isinstance(self.conv_layers, nn.Sequential) else 0
        # all but the first `count` are the layer that has the name today
        table: list[Rename] = [
            (rf"final_layer\.({i})\.([^.]+)$", r"conv_layers.\1.\2") for i in range(count)
        ]
        rename_old_keys(self, [*table, (r"final_layer\.\d+\.([^.]+)$", r"final_layer.\1")])

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Heatmaps (B, K, H, W) of the last feature map."""
        x = self.deconv_layers(last_map(feats))
        x = self.conv_layers(x)
        return self.final_layer(x)

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """`loss_kpt`, and `acc_pose` unless `train_cfg["compute_acc"]` is False.

        Raises:
            DataError: the targets are of another number of keypoints.
        """
        heatmaps = self.forward(feats)
        targets = stacked_fields(batch_data_samples)
        weights = labels(batch_data_samples, "keypoint_weights")
        self.check_targets(heatmaps, targets, batch_data_samples)
        losses = {"loss_kpt": self.loss_module(heatmaps, targets, weights)}
        if train_cfg.get("compute_acc", True):
            losses["acc_pose"] = heatmap_accuracy(heatmaps, targets, weights)
        return losses
