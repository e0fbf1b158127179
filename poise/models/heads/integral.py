"""Heads that take the mean position of a heatmap as the keypoint: IPR and DSNT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise._options import options_of
from poise.models.flip import flip_heatmaps, unflip_coordinates
from poise.models.heads.base import BaseHead, last_map
from poise.models.heads.deconv import last_conv
from poise.models.heads.defaults import COORDINATE_LOSS, DSNT_LOSS, LINEAR_INIT
from poise.models.heads.heatmap import HeatmapHead
from poise.models.heads.targets import coordinate_accuracy, labels, stacked_fields
from poise.models.progress import Progress
from poise.models.renames import rename_old_keys
from poise.registry import MODELS
from poise.structures import InstanceData, PixelData

__all__ = ["DSNTHead", "IntegralRegressionHead"]


def _positions(size: int, shape: Sequence[int]) -> nn.Parameter:
    """Fixed positions 0, 1 / size ... of `size` pixels; a parameter, as released files say."""
    steps = torch.arange(0.0, 1.0 * size, 1).reshape(*shape) / size
    return nn.Parameter(steps, requires_grad=False)


@MODELS.register_module()
class IntegralRegressionHead(BaseHead):
    """Soft-argmax: the expectation of the position under a softmax over the heatmap.

    Sun 2018, "Integral Human Pose Regression", arXiv 1711.08229; debiased as in Gu 2021,
    "Removing the Bias of Integral Pose Regression".

    Args:
        in_channels: channels of the last feature map.
        in_featuremap_size: its (width, height).
        num_joints: number of keypoints.
        debias: take away the pull of the background towards the centre.
        beta: factor of the heatmap before the softmax.
        loss: config or module.
        decoder: codec or its config.
        **layers: as of `HeatmapHead`; without deconvolutions there is the last layer alone.

    Raises:
        ConfigError: several feature maps.
    """

    _version = 2
    default_init_cfg = LINEAR_INIT

    @options_of(
        HeatmapHead,
        positional=True,
        without=("out_channels",),
        deconv_out_channels=(256, 256, 256),
        final_layer={"kernel_size": 1},
    )
    def __init__(
        self,
        in_channels: int | Sequence[int],
        in_featuremap_size: Sequence[int],
        num_joints: int,
        debias: bool = False,
        beta: float = 1.0,
        *,
        loss: Any = COORDINATE_LOSS,
        decoder: Any = None,
        init_cfg: Any = None,
        **layers: Any,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels = self.single_width(in_channels)
        self.num_joints = num_joints
        self.debias = debias
        self.beta = beta
        self.loss_module = MODELS.build(loss)
        self.decoder = self.build_decoder(decoder)
        self.simplebaseline_head: HeatmapHead | None = None
        deconvs = layers["deconv_out_channels"]
        if deconvs:
            self.simplebaseline_head = HeatmapHead(in_channels, num_joints, **layers)
        else:
            final_layer = layers["final_layer"]
            self.final_layer = last_conv(final_layer, in_channels, num_joints) or nn.Identity()
        self.in_featuremap_size = tuple(in_featuremap_size)
        scale = 2 ** len(deconvs or ())
        self.heatmap_size = tuple(side * scale for side in in_featuremap_size)
        width, height = self.heatmap_size
        self.linspace_x = _positions(width, (1, 1, 1, width))
        self.linspace_y = _positions(height, (1, 1, height, 1))
        self._rename_old_keys()

    def _rename_old_keys(self) -> None:
        """Weights of a heatmap head fit this one's inner head."""
        if self.simplebaseline_head is None:
            return
        rename_old_keys(
            self,
            (),
            always=[
                (r"conv_layers\.", "simplebaseline_head.deconv_layers."),
                (r"final_layer\.", "simplebaseline_head.final_layer."),
            ],
        )

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Coordinates (B, K, 2) in 0..1 and normalised heatmaps (B, K, H, W)."""
        if self.simplebaseline_head is not None:
            maps = self.simplebaseline_head(feats)
        else:
            maps = self.final_layer(last_map(feats))
        heatmaps = (maps * self.beta).flatten(2).softmax(dim=2).view_as(maps)
        coords = torch.stack(
            [(heatmaps * self.linspace_x).sum((2, 3)), (heatmaps * self.linspace_y).sum((2, 3))],
            dim=-1,
        )
        if self.debias:
            total = maps.flatten(2).exp().sum(dim=2, keepdim=True)
            coords = total / (total - 1) * (coords - 1 / (2 * total))
        return coords, heatmaps

    @staticmethod
    def unflip(
        outputs: tuple[Tensor, Tensor], metainfo: Mapping[str, Any], test_cfg: Mapping[str, Any]
    ) -> tuple[Tensor, Tensor]:
        """Mirror coordinates and heatmaps back."""
        coords, heatmaps = outputs
        mirrored = flip_heatmaps(
            heatmaps,
            flip_indices=metainfo["flip_indices"],
            shift_heatmap=test_cfg.get("shift_heatmap", False),
        )
        return unflip_coordinates(coords, metainfo, test_cfg), mirrored

    def predict(
        self,
        feats: Any,
        batch_data_samples: Sequence[Any],
        test_cfg: Mapping[str, Any] = {},
    ) -> Any:
        """Predict the keypoints of a batch; see `BaseHead.predict`."""
        coords, heatmaps = self.test_outputs(feats, batch_data_samples, test_cfg)
        preds: list[InstanceData] = self.decode(coords.unsqueeze(1))
        if test_cfg.get("output_covariances", False):
            # coordinates alone do not tell, the maps that they are means of do
            self.add_covariances(preds, (coords, heatmaps))
        if test_cfg.get("output_heatmaps", False):
            return preds, [PixelData(heatmaps=h) for h in heatmaps.detach()]
        return preds

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
        coords, heatmaps = self.forward(feats)
        targets = labels(batch_data_samples, "keypoint_labels")
        weights = labels(batch_data_samples, "keypoint_weights")
        self.check_targets(coords, targets, batch_data_samples)
        loss = self._keypoint_loss(coords, heatmaps, targets, weights, batch_data_samples)
        return {"loss_kpt": loss, "acc_pose": coordinate_accuracy(coords, targets, weights)}

    def _keypoint_loss(
        self,
        coords: Tensor,
        heatmaps: Tensor,
        targets: Tensor,
        weights: Tensor,
        batch_data_samples: Sequence[Any],
    ) -> Tensor:
        return self.loss_module(coords, targets, weights)


@MODELS.register_module()
class DSNTHead(IntegralRegressionHead):
    """Integral regression whose heatmaps are trained to be compact too.

    Nibali 2018, "Numerical Coordinate Regression with Convolutional Neural Networks",
    arXiv 1801.07372.

    Args:
        in_channels, in_featuremap_size, num_joints: as of `IntegralRegressionHead`.
        lambda_t: epoch from which the heatmaps are no longer supervised; -1 for never.
        **options: further arguments of `IntegralRegressionHead`; `loss` is one of coordinates and
            heatmaps (`MultipleLossWrapper`).
    """

    @options_of(IntegralRegressionHead, positional=True, loss=DSNT_LOSS)
    def __init__(
        self,
        in_channels: int | Sequence[int],
        in_featuremap_size: Sequence[int],
        num_joints: int,
        lambda_t: int = -1,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, in_featuremap_size, num_joints, **options)
        self.lambda_t = lambda_t
        self.progress = Progress()

    def _keypoint_loss(
        self,
        coords: Tensor,
        heatmaps: Tensor,
        targets: Tensor,
        weights: Tensor,
        batch_data_samples: Sequence[Any],
    ) -> Tensor:
        maps = stacked_fields(batch_data_samples)
        regression, compactness = self.loss_module([coords, heatmaps], [targets, maps], weights)
        if 0 < self.lambda_t <= self.progress.epoch:
            return regression
        return regression + compactness
