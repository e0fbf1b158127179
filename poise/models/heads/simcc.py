"""Coordinate classification: keypoints as distributions over x bins and over y bins."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise._arrays import as_numpy
from poise._options import options_of
from poise.codecs.utils.post_processing import get_simcc_normalized
from poise.errors import one_of
from poise.layers import Linear
from poise.models.flip import unflip_vectors
from poise.models.heads.base import BaseHead, last_map
from poise.models.heads.deconv import last_conv
from poise.models.heads.defaults import HEATMAP_INIT, LINEAR_INIT, SIMCC_LOSS
from poise.models.heads.heatmap import HeatmapHead
from poise.models.heads.targets import labels, simcc_accuracy
from poise.models.heads.vipnas import ViPNASHead
from poise.registry import MODELS
from poise.structures import InstanceData, PixelData

__all__ = ["BaseSimCCHead", "SimCCHead"]


class BaseSimCCHead(BaseHead):
    """What heads with x and y distributions share; `forward` differs.

    A subclass sets `in_channels`, `out_channels`, `simcc_split_ratio`, `loss_module`,
    `decoder`.
    """

    unflip = staticmethod(unflip_vectors)

    def bins(self, input_size: Sequence[int], split_ratio: float) -> tuple[int, int]:
        """Number of bins along x and y for an input of (width, height) pixels."""
        return int(input_size[0] * split_ratio), int(input_size[1] * split_ratio)

    def picture_sigma(self) -> tuple[float | None, float | None]:
        """Deviation of the x and y labels, by which pictures are scaled; None for none."""
        return None, None

    def covariance_options(self) -> dict[str, Any]:
        """`beta` of the loss, where it has one."""
        beta = getattr(self.loss_module, "beta", None)
        return {} if beta is None else {"beta": float(beta)}

    def pred_fields(
        self, outputs: tuple[Tensor, Tensor], preds: list[InstanceData]
    ) -> list[PixelData]:
        """Heatmaps (K, H, W) as products of both distributions, which go to the instances."""
        warnings.warn(
            "The SimCC distributions are normalised to be drawn; keypoint scores may differ "
            "from their maxima",
            stacklevel=3,
        )
        x, y = (
            get_simcc_normalized(part, sigma)
            for part, sigma in zip(outputs, self.picture_sigma(), strict=True)
        )
        for instances, own_x, own_y in zip(preds, as_numpy(x), as_numpy(y), strict=True):
            instances.keypoint_x_labels = own_x[None]
            instances.keypoint_y_labels = own_y[None]
        return [PixelData(heatmaps=h) for h in (y.unsqueeze(3) * x.unsqueeze(2)).detach()]

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """`loss_kpt` and `acc_pose`.

        Raises:
            DataError: the targets are of another number of keypoints.
        """
        return self.loss_of_outputs(self.forward(feats), batch_data_samples)

    def loss_of_outputs(
        self, outputs: tuple[Tensor, ...], batch_data_samples: Sequence[Any]
    ) -> dict[str, Tensor]:
        """`loss_kpt` and `acc_pose` of distributions over x and y, (B, K, bins) each."""
        targets = (
            labels(batch_data_samples, "keypoint_x_labels"),
            labels(batch_data_samples, "keypoint_y_labels"),
        )
        weights = labels(batch_data_samples, "keypoint_weights")
        self.check_targets(outputs[0], targets[0], batch_data_samples)
        return {
            "loss_kpt": self.loss_module(outputs, targets, weights),
            "acc_pose": simcc_accuracy(outputs, targets, self.simcc_split_ratio, weights),
        }


@MODELS.register_module()
class SimCCHead(BaseSimCCHead):
    """One linear layer per axis from flattened heatmaps to bins.

    Li 2022, "SimCC: a Simple Coordinate Classification Perspective", arXiv 2107.03332.

    Args:
        in_channels: channels of the last feature map.
        out_channels: number of keypoints.
        input_size: (width, height) of the model's input, pixels.
        in_featuremap_size: (width, height) of the feature map.
        simcc_split_ratio: bins a pixel.
        deconv_type: "heatmap" or "vipnas": whose deconvolutions.
        deconv_out_channels: channels of each deconvolution; None for none.
        deconv_kernel_sizes: kernel size of each.
        deconv_num_groups: groups of each ("vipnas").
        loss: config or module.
        decoder: codec or its config.
        **layers: `conv_out_channels`, `conv_kernel_sizes`, `final_layer` of `HeatmapHead`; without
            deconvolutions there is the last layer alone.

    Raises:
        ConfigError: unknown `deconv_type`.
    """

    _version = 2
    default_init_cfg = [*HEATMAP_INIT, *LINEAR_INIT]

    @options_of(HeatmapHead, positional=True, final_layer={"kernel_size": 1})
    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int,
        input_size: Sequence[int],
        in_featuremap_size: Sequence[int],
        simcc_split_ratio: float = 2.0,
        deconv_type: str = "heatmap",
        deconv_out_channels: Sequence[int] | None = (256, 256, 256),
        deconv_kernel_sizes: Sequence[int] | None = (4, 4, 4),
        deconv_num_groups: Sequence[int] | None = (16, 16, 16),
        *,
        loss: Any = SIMCC_LOSS,
        decoder: Any = None,
        init_cfg: Any = None,
        **layers: Any,
    ) -> None:
        super().__init__(init_cfg)
        one_of(deconv_type, ("heatmap", "vipnas"), "SimCCHead: deconv_type")
        self.in_channels = in_channels = self.single_width(in_channels)
        self.out_channels = out_channels
        self.input_size = tuple(input_size)
        self.in_featuremap_size = tuple(in_featuremap_size)
        self.simcc_split_ratio = simcc_split_ratio
        self.loss_module = MODELS.build(loss)
        self.decoder = self.build_decoder(decoder)
        self.deconv_head: HeatmapHead | None = None
        if deconv_out_channels:
            inner: dict[str, Any] = {"deconv_out_channels": deconv_out_channels, **layers}
            if deconv_type == "heatmap":
                self.deconv_head = HeatmapHead(
                    in_channels, out_channels, deconv_kernel_sizes=deconv_kernel_sizes, **inner
                )
            else:
                # three layers have ViPNASHead's own kernel sizes, as in MMPose, which cannot
                # build another number of them
                if len(deconv_out_channels) != 3:
                    inner["deconv_kernel_sizes"] = deconv_kernel_sizes
                self.deconv_head = ViPNASHead(
                    in_channels, out_channels, deconv_num_groups=deconv_num_groups, **inner
                )
        else:
            final_layer = layers["final_layer"]
            self.final_layer = last_conv(final_layer, in_channels, out_channels) or nn.Identity()
        scale = 2 ** len(deconv_out_channels or ())
        self.heatmap_size = tuple(side * scale for side in in_featuremap_size)
        pixels = self.heatmap_size[0] * self.heatmap_size[1]
        width, height = self.bins(input_size, simcc_split_ratio)
        self.mlp_head_x = Linear(pixels, width)
        self.mlp_head_y = Linear(pixels, height)

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Distributions over x (B, K, W * ratio) and y (B, K, H * ratio)."""
        if self.deconv_head is not None:
            maps = self.deconv_head(feats)
        else:
            maps = self.final_layer(last_map(feats))
        flat = maps.flatten(2)
        return self.mlp_head_x(flat), self.mlp_head_y(flat)

    def picture_sigma(self) -> tuple[float | None, float | None]:
        """The codec's sigma along x and y."""
        return float(self.decoder.sigma[0]), float(self.decoder.sigma[1])
