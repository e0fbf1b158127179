"""InterNet: two interacting hands in 3D, which of them are there, how far apart they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from poise._arrays import as_numpy
from poise._options import options_of
from poise.errors import ConfigError
from poise.layers import normal_init
from poise.metrics.functional import multilabel_classification_accuracy
from poise.models.flip import flip_heatmaps
from poise.models.heads.base import BaseHead, last_map, per_sample
from poise.models.heads.defaults import HEATMAP_LOSS
from poise.models.heads.heatmap import HeatmapHead
from poise.models.heads.targets import labels
from poise.models.necks.gap import GlobalAveragePooling
from poise.registry import MODELS
from poise.structures import InstanceData

__all__ = ["Heatmap1DHead", "Heatmap3DHead", "InternetHead", "MultilabelClassificationHead"]

ROOT_LOSS: dict[str, Any] = {"type": "L1Loss", "use_target_weight": True}
HAND_LOSS: dict[str, Any] = {"type": "BCELoss", "use_target_weight": True}


class Heatmap3DHead(HeatmapHead):
    """Heatmap head whose channels are split into depth bins.

    Args:
        in_channels: channels of the feature map.
        out_channels: number of keypoints times `depth_size`.
        depth_size: depth bins.
        **options: deconvolutions, last layer and start values, as of `HeatmapHead`.

    Raises:
        ConfigError: `out_channels` is no multiple of `depth_size`.
    """

    @options_of(
        HeatmapHead,
        positional=True,
        without=("conv_out_channels", "conv_kernel_sizes", "loss", "decoder"),
    )
    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int,
        depth_size: int = 64,
        **options: Any,
    ) -> None:
        if out_channels % depth_size:
            raise ConfigError(
                f"Heatmap3DHead: out_channels ({out_channels}) should be a multiple of "
                f"depth_size ({depth_size})"
            )
        super().__init__(in_channels, out_channels, **options)
        self.depth_size = depth_size

    def forward(self, feats: Any) -> Tensor:
        """Heatmaps (B, K, D, H, W) of a feature map (B, C, h, w)."""
        return super().forward([feats]).unflatten(1, (-1, self.depth_size))


class _LinearHead(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inside, out in pairwise(sizes):
            layers += [nn.Linear(inside, out), nn.ReLU(inplace=True)]
        self.fc = nn.Sequential(*layers[:-1])

    def init_weights(self) -> None:
        """Start near zero."""
        for layer in self.fc:
            if isinstance(layer, nn.Linear):
                normal_init(layer, mean=0, std=0.01, bias=0)


class Heatmap1DHead(_LinearHead):
    """Expectation of a position on a line of bins.

    Args:
        in_channels: channels of the feature.
        heatmap_size: bins.
        hidden_dims: channels of the layers between.
    """

    def __init__(
        self,
        in_channels: int = 2048,
        heatmap_size: int = 64,
        hidden_dims: Sequence[int] = (512,),
    ) -> None:
        super().__init__([in_channels, *hidden_dims, heatmap_size])
        self.in_channels = in_channels
        self.heatmap_size = heatmap_size

    def forward(self, feats: Tensor) -> Tensor:
        """Positions (B, 1) in bins of features (B, C)."""
        share = self.fc(feats).softmax(dim=1)
        bins = torch.arange(self.heatmap_size, dtype=share.dtype, device=share.device)
        return (share * bins).sum(dim=1, keepdim=True)


class MultilabelClassificationHead(_LinearHead):
    """One logit for each of several labels that may hold together.

    Args:
        in_channels: channels of the feature.
        num_labels: number of labels.
        hidden_dims: channels of the layers between.
    """

    def __init__(
        self,
        in_channels: int = 2048,
        num_labels: int = 2,
        hidden_dims: Sequence[int] = (512,),
    ) -> None:
        super().__init__([in_channels, *hidden_dims, num_labels])
        self.in_channels = in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, labels) of features (B, C)."""
        return self.fc(x)


@MODELS.register_module()
class InternetHead(BaseHead):
    """3D heatmaps of both hands, depth between their roots, which hands are there.

    Moon 2020, "InterHand2.6M", arXiv 2008.09309.

    Args:
        keypoint_head_cfg: arguments of `Heatmap3DHead`, for each hand.
        root_head_cfg: arguments of `Heatmap1DHead`.
        hand_type_head_cfg: arguments of `MultilabelClassificationHead`.
        loss: config or module, of the heatmaps.
        loss_root_depth: of the depth.
        loss_hand_type: of the hands.
        decoder: codec or its config.
        init_cfg: not used, as in MMPose; the parts start by themselves.
    """

    _version = 2

    def __init__(
        self,
        keypoint_head_cfg: Mapping[str, Any],
        root_head_cfg: Mapping[str, Any],
        hand_type_head_cfg: Mapping[str, Any],
        loss: Any = HEATMAP_LOSS,
        loss_root_depth: Any = ROOT_LOSS,
        loss_hand_type: Any = HAND_LOSS,
        decoder: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__()
        self.right_hand_head = Heatmap3DHead(**keypoint_head_cfg)
        self.left_hand_head = Heatmap3DHead(**keypoint_head_cfg)
        self.root_head = Heatmap1DHead(**root_head_cfg)
        self.hand_type_head = MultilabelClassificationHead(**hand_type_head_cfg)
        self.neck = GlobalAveragePooling()
        self.loss_module = MODELS.build(loss)
        self.root_loss_module = MODELS.build(loss_root_depth)
        self.hand_loss_module = MODELS.build(loss_hand_type)
        self.decoder = self.build_decoder(decoder)

    def forward(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """Heatmaps (B, K, D, H, W) right hand first, depth (B, 1), hand logits (B, 2)."""
        x = last_map(feats)
        heatmaps = torch.cat([self.right_hand_head(x), self.left_hand_head(x)], dim=1)
        pooled = self.neck(x)
        return [heatmaps, self.root_head(pooled), self.hand_type_head(pooled)]

    def test_outputs(
        self, feats: Any, batch_data_samples: Sequence[Any], test_cfg: Mapping[str, Any]
    ) -> list[Tensor]:
        """Outputs, averaged with the mirrored ones if `flip_test` is set.

        As in MMPose the hands are averaged with their own swapped logits, not with those of
        the mirror image.
        """
        if not test_cfg.get("flip_test", False):
            return self.forward(feats)
        straight, mirrored = feats
        heatmaps, depth, hands = self.forward(straight)
        heatmaps_back, depth_back, _ = self.forward(mirrored)
        heatmaps_back = flip_heatmaps(
            heatmaps_back,
            flip_indices=batch_data_samples[0].metainfo["flip_indices"],
            flip_mode=test_cfg.get("flip_mode", "heatmap"),
            shift_heatmap=test_cfg.get("shift_heatmap", False),
        )
        return [
            (heatmaps + heatmaps_back) * 0.5,
            (depth - depth_back) * 0.5,
            (hands + hands.flip(1)) * 0.5,
        ]

    def predict(
        self, feats: Any, batch_data_samples: Sequence[Any], test_cfg: Mapping[str, Any] = {}
    ) -> list[InstanceData]:
        """Predict B instances with `keypoints`, scores, `rel_root_depth` and `hand_type`."""
        return self.decode(tuple(self.test_outputs(feats, batch_data_samples, test_cfg)))

    def decode(self, batch_outputs: Sequence[Tensor]) -> list[InstanceData]:
        """Hands of heatmaps, depths and hand logits.

        Raises:
            ConfigError: the head was built without a codec.
        """
        self.require_decoder()
        preds = []
        for heatmaps, depth, hands in zip(*map(per_sample, batch_outputs), strict=True):
            keypoints, scores, rel_root_depth, hand_type = self.decoder.decode(
                heatmaps, depth, hands
            )
            preds.append(
                InstanceData(
                    keypoints=keypoints,
                    keypoint_scores=scores,
                    rel_root_depth=rel_root_depth,
                    hand_type=hand_type,
                )
            )
        return preds

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """`loss_kpt`, `loss_rel_root`, `loss_hand_type`, and `acc_pose` of the hands."""
        heatmaps, depth, hands = self.forward(feats)
        own = [sample.gt_instance_labels for sample in batch_data_samples]
        targets = torch.stack(
            [s.gt_fields.heatmaps.reshape(heatmaps.shape[1:]) for s in batch_data_samples]
        )
        types = torch.stack([label.type.reshape(-1) for label in own])
        type_weights = torch.stack([label.type_weight for label in own])
        losses = {
            "loss_kpt": self.loss_module(
                heatmaps, targets, labels(batch_data_samples, "keypoint_weights")
            ),
            "loss_rel_root": self.root_loss_module(
                depth,
                torch.stack([label.root_depth for label in own]),
                torch.stack([label.root_depth_weight for label in own]),
            ),
            "loss_hand_type": self.hand_loss_module(hands, types, type_weights),
        }
        if train_cfg.get("compute_acc", True):
            accuracy = multilabel_classification_accuracy(
                pred=as_numpy(hands), gt=as_numpy(types), mask=as_numpy(type_weights)
            )
            losses["acc_pose"] = torch.tensor(accuracy, device=types.device)
        return losses
