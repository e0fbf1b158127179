"""Bottom-up head that decouples people by the features at their centres.

Wang 2022, "Contextual Instance Decoupling for Robust Multi-Person Pose Estimation", CVPR.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise._arrays import as_numpy
from poise.layers import BaseModule, ModuleDict, bias_init_with_prob, max_pool2d
from poise.models.flip import flip_heatmaps
from poise.models.heads.base import BaseHead, last_map
from poise.models.heads.targets import heatmap_mask, labels, stacked_fields
from poise.models.renames import rename_old_keys
from poise.registry import MODELS
from poise.structures import InstanceData, PixelData

__all__ = ["CIDHead", "GFDModule", "IIAModule", "TruncSigmoid", "smooth_heatmaps"]

FOCAL_LOSS: dict[str, Any] = {"type": "FocalHeatmapLoss"}
CONTRASTIVE_LOSS: dict[str, Any] = {"type": "InfoNCELoss"}

#: relative coordinates are divided by it, in heatmap pixels
COORDINATE_SCALE = 32.0
#: mean side of a heatmap, in pixels -> side of the window in which one person may be
POOL_SIZES = ((300, 7), (200, 5), (0, 3))


def smooth_heatmaps(heatmaps: Tensor, blur_kernel_size: int) -> Tensor:
    """Mean of heatmaps (B, K, H, W) and their box blur."""
    blurred = F.avg_pool2d(heatmaps, blur_kernel_size, 1, (blur_kernel_size - 1) // 2)
    return (heatmaps + blurred) / 2.0


class TruncSigmoid(nn.Sigmoid):
    """Sigmoid that stays within [min, max], so that its logarithm is finite."""

    def __init__(self, min: float = 0.0, max: float = 1.0) -> None:  # noqa: A002
        super().__init__()
        self.min = min
        self.max = max

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Probabilities of logits."""
        return input.sigmoid().clamp(min=self.min, max=self.max)


class IIAModule(BaseModule):
    """Instance information abstraction: where people are, and a feature of each.

    Args:
        in_channels: channels of the feature map.
        out_channels: keypoints and the centre.
        clamp_delta: how near probabilities come to 0 and 1.
    """

    def __init__(
        self, in_channels: int, out_channels: int, clamp_delta: float = 1e-4, init_cfg: Any = None
    ) -> None:
        super().__init__(init_cfg)
        self.keypoint_root_conv = nn.Conv2d(in_channels, out_channels, 1)
        self.sigmoid = TruncSigmoid(min=clamp_delta, max=1 - clamp_delta)

    def forward(self, feats: Tensor) -> Tensor:
        """Heatmaps (B, K + 1, H, W), the centre last."""
        return self.sigmoid(self.keypoint_root_conv(feats))

    def forward_train(
        self, feats: Tensor, instance_coords: Tensor, instance_imgids: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Features (N, C) of people, and heatmaps.

        Args:
            feats: (B, C, H, W).
            instance_coords: (N, 2) integer centres (x, y), output space.
            instance_imgids: (N,) picture of each.
        """
        x, y = instance_coords.unbind(dim=1)
        return feats[instance_imgids, :, y, x], self.forward(feats)

    def forward_test(
        self, feats: Tensor, test_cfg: Mapping[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B * N, C), centres (N, 2) and scores (N,) of the people of a picture.

        Args:
            feats: (1, C, H, W); with `flip_test` (2, C, H, W), the mirror image mirrored back.
            test_cfg: `blur_kernel_size`, `max_instances`, `score_threshold`, `flip_test`.
        """
        heatmaps = self.forward(feats)[:, -1:]
        if test_cfg.get("flip_test", False):
            heatmaps = heatmaps.mean(dim=0, keepdim=True)
        smooth = smooth_heatmaps(heatmaps, test_cfg.get("blur_kernel_size", 3))
        height, width = smooth.shape[-2:]
        window = next(k for side, k in POOL_SIZES if (height + width) / 2 > side)
        is_peak = max_pool2d(smooth, window, 1, window // 2) == smooth
        peaks = (smooth * is_peak).reshape(-1)
        scores, index = peaks.topk(min(test_cfg.get("max_instances", 30), len(peaks)))
        kept = scores > test_cfg.get("score_threshold", 0.01)
        scores, index = scores[kept], index[kept]
        x, y = index % width, torch.div(index, width, rounding_mode="floor")
        features = feats[:, :, y, x].transpose(1, 2).flatten(0, 1)
        return features, torch.stack((x, y), dim=1), scores


class ChannelAttention(nn.Module):
    """Weighs the channels of a feature map by the feature of a person."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.atn = nn.Linear(in_channels, out_channels)

    def forward(self, global_feats: Tensor, instance_feats: Tensor) -> Tensor:
        """Maps (N, C', H, W) of maps (N, C', H, W) and features (N, C)."""
        return global_feats * self.atn(instance_feats)[..., None, None]


class SpatialAttention(nn.Module):
    """Weighs the pixels of a feature map by likeness to, and way from, a person's centre."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.atn = nn.Linear(in_channels, out_channels)
        self.conv = nn.Conv2d(3, 1, 5, 1, 2)

    def forward(
        self, global_feats: Tensor, instance_feats: Tensor, instance_coords: Tensor
    ) -> Tensor:
        """Maps (N, C', H, W) of maps (N, C', H, W), features (N, C) and centres (N, 2)."""
        height, width = global_feats.shape[-2:]
        likeness = global_feats * self.atn(instance_feats)[..., None, None]
        x = torch.arange(width, device=global_feats.device) + 0.5
        y = torch.arange(height, device=global_feats.device) + 0.5
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"))  # 2, H, W
        way = (instance_coords[..., None, None] - grid) / COORDINATE_SCALE
        seen = torch.cat((likeness.sum(dim=1, keepdim=True), way.to(likeness)), dim=1)
        return global_feats * self.conv(seen).sigmoid()


class GFDModule(BaseModule):
    """Global feature decoupling: heatmaps of each person for itself.

    Args:
        in_channels: channels of the feature map.
        out_channels: number of keypoints.
        gfd_channels: channels inside.
        clamp_delta: how near probabilities come to 0 and 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        gfd_channels: int,
        clamp_delta: float = 1e-4,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.conv_down = nn.Conv2d(in_channels, gfd_channels, 1)
        self.channel_attention = ChannelAttention(in_channels, gfd_channels)
        self.spatial_attention = SpatialAttention(in_channels, gfd_channels)
        self.fuse_attention = nn.Conv2d(gfd_channels * 2, gfd_channels, 1)
        self.heatmap_conv = nn.Conv2d(gfd_channels, out_channels, 1)
        self.sigmoid = TruncSigmoid(min=clamp_delta, max=1 - clamp_delta)

    def forward(
        self,
        feats: Tensor,
        instance_feats: Tensor,
        instance_coords: Tensor,
        instance_imgids: Tensor,
    ) -> Tensor:
        """Heatmaps (N, K, H, W).

        Args:
            feats: (B, C, H, W).
            instance_feats: (N, C).
            instance_coords: (N, 2) centres (x, y), output space.
            instance_imgids: (N,) picture of each.
        """
        maps = self.conv_down(feats)[instance_imgids]
        both = torch.cat(
            (
                self.channel_attention(maps, instance_feats),
                self.spatial_attention(maps, instance_feats, instance_coords),
            ),
            dim=1,
        )
        return self.sigmoid(self.heatmap_conv(self.fuse_attention(both).relu()))


@MODELS.register_module()
class CIDHead(BaseHead):
    """Finds people by their centres, then decouples the keypoints of each.

    Args:
        in_channels: channels of the last feature map.
        gfd_channels: channels inside the decoupling module.
        num_keypoints: K.
        prior_prob: probability that a pixel of an untrained network gives to a keypoint.
        coupled_heatmap_loss: config or module, of the heatmaps of all people.
        decoupled_heatmap_loss: of the heatmaps of each person.
        contrastive_loss: of the features.
        decoder: codec or its config.
    """

    _version = 2
    default_init_cfg = [
        {"type": "Normal", "layer": ["Conv2d", "Linear"], "std": 0.001},
        {"type": "Constant", "layer": "BatchNorm2d", "val": 1},
    ]

    def __init__(
        self,
        in_channels: int | Sequence[int],
        gfd_channels: int,
        num_keypoints: int,
        prior_prob: float = 0.01,
        coupled_heatmap_loss: Any = FOCAL_LOSS,
        decoupled_heatmap_loss: Any = FOCAL_LOSS,
        contrastive_loss: Any = CONTRASTIVE_LOSS,
        decoder: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels = self.single_width(in_channels)
        self.num_keypoints = num_keypoints
        self.decoder = self.build_decoder(decoder)
        bias = bias_init_with_prob(prior_prob)
        self.iia_module = IIAModule(
            in_channels, num_keypoints + 1, init_cfg=self._start("keypoint_root_conv", bias)
        )
        self.gfd_module = GFDModule(
            in_channels, num_keypoints, gfd_channels, init_cfg=self._start("heatmap_conv", bias)
        )
        self.loss_module = ModuleDict(
            {
                "heatmap_coupled": MODELS.build(coupled_heatmap_loss),
                "heatmap_decoupled": MODELS.build(decoupled_heatmap_loss),
                "contrastive": MODELS.build(contrastive_loss),
            }
        )
        rename_old_keys(
            self,
            [
                (r"keypoint_center_conv\.", "iia_module.keypoint_root_conv."),
                (r"(conv_down|heatmap_conv)\.", r"gfd_module.\1."),
                (r"c_attn\.", "gfd_module.channel_attention."),
                (r"s_attn\.", "gfd_module.spatial_attention."),
                (r"fuse_attn\.", "gfd_module.fuse_attention."),
            ],
        )

    def _start(self, layer: str, bias: float) -> list[Any]:
        """The head's own start values, and a bias for the layer that gives probabilities."""
        own = self.init_cfg if isinstance(self.init_cfg, list) else [self.init_cfg]
        start = {"type": "Normal", "std": 0.001}
        override = {**start, "name": layer, "bias": bias}
        return [*own, {**start, "layer": ["Conv2d", "Linear"], "override": override}]

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Heatmaps (N, K, H, W) of the people of one picture."""
        features, coords, _ = self.iia_module.forward_test(last_map(feats), {})
        picture = torch.zeros(len(coords), dtype=torch.long, device=coords.device)
        return self.gfd_module(last_map(feats), features, coords, picture)

    def require_covariances(self) -> None:
        """Its codec takes the maps of people."""

    def predict(
        self, feats: Any, batch_data_samples: Sequence[Any], test_cfg: Mapping[str, Any] = {}
    ) -> Any:
        """Predict the people of each picture.

        Args:
            feats: features; with `flip_test` a list of two.
            batch_data_samples: B samples.
            test_cfg: `flip_test`, `blur_kernel_size`, `max_instances`, `score_threshold`,
                `output_heatmaps`, `output_covariances`.

        Returns:
            B `InstanceData`, with `output_covariances` also `keypoint_covariances`; with
            `output_heatmaps` also B `PixelData` with the `heatmaps` (N * K, H, W) of all people.
        """
        if test_cfg.get("flip_test", False):
            maps = [last_map(feats[0]), flip_heatmaps(last_map(feats[1]), shift_heatmap=False)]
        else:
            maps = [last_map(feats)]
        preds, fields = [], []
        for i, sample in enumerate(batch_data_samples):
            own = torch.stack([m[i] for m in maps])
            instances, heatmaps = self._people(own, sample.metainfo, test_cfg)
            preds.append(instances)
            fields.append(PixelData(heatmaps=heatmaps.detach().flatten(0, 1)))
        return (preds, fields) if test_cfg.get("output_heatmaps", False) else preds

    def _people(
        self, feats: Tensor, metainfo: Mapping[str, Any], test_cfg: Mapping[str, Any]
    ) -> tuple[InstanceData, Tensor]:
        """People of one picture, and their heatmaps (N, K, H, W).

        Args:
            feats: (1, C, H, W), or (2, C, H, W) with the mirror image.
            metainfo: of the picture.
            test_cfg: see `predict`.
        """
        features, coords, scores = self.iia_module.forward_test(feats, test_cfg)
        count, sides = len(coords), len(feats)
        if count == 0:
            nobody = InstanceData(
                keypoints=np.empty((0, self.num_keypoints, 2)),
                keypoint_scores=np.empty((0, self.num_keypoints)),
            )
            if test_cfg.get("output_covariances", False):
                nobody.keypoint_covariances = np.empty((0, self.num_keypoints, 2, 2), np.float32)
            return nobody, feats.new_empty(0, self.num_keypoints, *feats.shape[-2:])
        picture = torch.arange(sides, device=coords.device).repeat_interleave(count)
        heatmaps = self.gfd_module(feats, features, coords.repeat(sides, 1), picture)
        if sides == 2:
            straight, mirrored = heatmaps.chunk(2)
            heatmaps = (straight + mirrored[:, list(metainfo["flip_indices"])]) / 2.0
        heatmaps = smooth_heatmaps(heatmaps, test_cfg.get("blur_kernel_size", 3))
        self.require_decoder()
        keypoints, keypoint_scores = self.decoder.decode(
            as_numpy(heatmaps), as_numpy(scores[:, None])
        )
        # coordinates are those of pixel corners; half a heatmap pixel leads to the centres
        size = np.asarray(heatmaps.shape[:1:-1])
        keypoints[..., :2] += np.asarray(metainfo["input_size"]) / size / 2.0
        people = InstanceData(keypoints=keypoints, keypoint_scores=keypoint_scores)
        if test_cfg.get("output_covariances", False):
            people.keypoint_covariances = self.decoder.decode_covariance(heatmaps.detach())
        return people, heatmaps

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """`loss/heatmap_coupled`; with people also `loss/heatmap_decoupled`, `loss/contrastive`.

        Args:
            feats: features.
            batch_data_samples: B samples.
            train_cfg: `max_train_instances`: most people that are decoupled.
        """
        x = last_map(feats)
        coords = labels(batch_data_samples, "instance_coords")
        weights = labels(batch_data_samples, "keypoint_weights")
        counts = [len(s.gt_instance_labels.instance_coords) for s in batch_data_samples]
        picture = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)).to(x.device)
        targets = torch.cat([s.gt_fields.instance_heatmaps for s in batch_data_samples])
        targets = targets.unflatten(0, (-1, self.num_keypoints))
        mask = heatmap_mask(batch_data_samples)
        features, heatmaps = self.iia_module.forward_train(x, coords, picture)
        contrastive = sum(
            self.loss_module["contrastive"](features[picture == i]) for i in range(len(counts))
        )
        losses = {
            "loss/heatmap_coupled": self.loss_module["heatmap_coupled"](
                heatmaps, stacked_fields(batch_data_samples), None, mask
            )
        }
        total = len(picture)
        if total == 0:
            return losses
        most = train_cfg.get("max_train_instances", -1)
        chosen = torch.arange(total, device=x.device)
        if 0 < most < total:
            chosen = torch.randperm(total, device=x.device)[:most]
        decoupled = self.gfd_module(x, features[chosen], coords[chosen], picture[chosen])
        losses["loss/heatmap_decoupled"] = self.loss_module["heatmap_decoupled"](
            decoupled, targets[chosen], weights[chosen]
        )
        losses["loss/contrastive"] = contrastive / total
        return losses
