"""Bottom-up head that regresses each keypoint of a person from the person's centre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

from poise._arrays import as_numpy
from poise.errors import ConfigError
from poise.layers import (
    BaseModule,
    BasicBlock,
    ConvModule,
    DeformConv2d,
    ModuleDict,
    Sequential,
    build_activation_layer,
    build_norm_layer,
)
from poise.metrics.functional import nearby_joints_nms
from poise.models.flip import flip_heatmaps
from poise.models.heads.base import BaseHead, last_map
from poise.models.heads.defaults import HEATMAP_INIT, HEATMAP_LOSS
from poise.models.heads.targets import heatmap_mask, stacked_fields
from poise.registry import MODELS
from poise.structures import InstanceData, PixelData

__all__ = ["AdaptiveActivationBlock", "DEKRHead", "RescoreNet"]

DISPLACEMENT_LOSS: dict[str, Any] = {
    "type": "SoftWeightSmoothL1Loss",
    "use_target_weight": True,
    "supervise_empty": False,
}
BATCH_NORM: dict[str, Any] = {"type": "BN"}
RELU: dict[str, Any] = {"type": "ReLU"}


class AdaptiveActivationBlock(BaseModule):
    """Convolution whose nine taps are moved by an affine map that each pixel predicts.

    Geng 2021, "Bottom-Up Human Pose Estimation via Disentangled Keypoint Regression",
    section 3.2, arXiv 2104.02300.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        groups: groups, usually one a keypoint.
        norm_cfg: norm.
        act_cfg: activation.

    Raises:
        ConfigError: channels that groups do not divide.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        groups: int = 1,
        norm_cfg: Mapping[str, Any] = BATCH_NORM,
        act_cfg: Mapping[str, Any] = RELU,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if in_channels % groups or out_channels % groups:
            raise ConfigError(
                f"AdaptiveActivationBlock: {groups} groups should divide the channels, got "
                f"{in_channels} in and {out_channels} out"
            )
        self.groups = groups
        # the nine taps as (y, x, 1), row by row
        rows, columns = torch.meshgrid(
            torch.arange(-1.0, 2.0), torch.arange(-1.0, 2.0), indexing="ij"
        )
        taps = torch.stack([rows.reshape(-1), columns.reshape(-1), torch.ones(9)])
        self.register_buffer("regular_matrix", taps)
        self.transform_matrix_conv = nn.Conv2d(
            in_channels, 6 * groups, 3, padding=1, groups=groups, bias=True
        )
        self.adapt_conv = DeformConv2d(
            in_channels,
            out_channels,
            kernel_size=3,
            padding=1,
            bias=False,
            groups=groups,
            deform_groups=groups,
        )
        self.norm = build_norm_layer(norm_cfg, out_channels)[1]
        self.act = build_activation_layer(act_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W), with a residual path."""
        size = x.shape[-2:]
        affine = self.transform_matrix_conv(x).flatten(2).unflatten(1, (self.groups, 2, 3))
        # (B, groups, 2, 9, H * W): products of a few wide matrices, not of very many tiny ones
        moved = self.regular_matrix.T @ affine
        # offsets of each group: y and x of a tap stand together
        offset = moved.transpose(2, 3).flatten(1, 3).unflatten(2, size)
        return self.act(self.norm(self.adapt_conv(x, offset)) + x)


class RescoreNet(BaseModule):
    """Guesses the similarity to the truth from the shape of a pose and its scores.

    Args:
        in_channels: three numbers a limb and one a keypoint.
        norm_indexes: two limbs whose mean length is the unit (the torso).
    """

    #: channels of the hidden layers
    hidden = 256

    def __init__(self, in_channels: int, norm_indexes: Sequence[int], init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.norm_indexes = list(norm_indexes)
        self.l1 = nn.Linear(in_channels, self.hidden)
        self.l2 = nn.Linear(self.hidden, self.hidden)
        self.l3 = nn.Linear(self.hidden, 1)
        self.relu = nn.ReLU()

    def make_feature(
        self, keypoints: Tensor, keypoint_scores: Tensor, skeleton: Sequence[Sequence[int]]
    ) -> Tensor:
        """Limb vectors, limb lengths and scores of each pose, (N, in_channels).

        Args:
            keypoints: (N, K, 2), input space.
            keypoint_scores: (N, K).
            skeleton: pairs of keypoints.
        """
        start, end = (list(side) for side in zip(*skeleton, strict=True))
        limbs = (keypoints[:, start] - keypoints[:, end])[..., :2]
        lengths = vector_norm(limbs, dim=2)
        unit = lengths[:, self.norm_indexes[:2]].mean(dim=1, keepdim=True).clamp(min=1)
        parts = ((limbs / unit.unsqueeze(-1)).flatten(1), lengths / unit, keypoint_scores)
        return torch.cat(parts, dim=1).float()

    def forward(
        self, keypoints: Tensor, keypoint_scores: Tensor, skeleton: Sequence[Sequence[int]]
    ) -> Tensor:
        """Scores (N,); see `make_feature`."""
        x = self.relu(self.l1(self.make_feature(keypoints, keypoint_scores, skeleton)))
        return self.l3(self.relu(self.l2(x))).squeeze(1)


@MODELS.register_module()
class DEKRHead(BaseHead):
    """Keypoint and centre heatmaps, and displacements from the centre.

    Geng 2021, arXiv 2104.02300.

    Args:
        in_channels: channels of the last feature map.
        num_keypoints: K.
        num_heatmap_filters: channels of the heatmap branch.
        num_displacement_filters_per_keypoint: of the displacement branch.
        heatmap_loss: config or module.
        displacement_loss: config or module.
        decoder: codec or its config.
        rescore_cfg: arguments of `RescoreNet`, or None.
    """

    _version = 2
    default_init_cfg = HEATMAP_INIT

    def __init__(
        self,
        in_channels: int | Sequence[int],
        num_keypoints: int,
        num_heatmap_filters: int = 32,
        num_displacement_filters_per_keypoint: int = 15,
        heatmap_loss: Any = HEATMAP_LOSS,
        displacement_loss: Any = DISPLACEMENT_LOSS,
        decoder: Any = None,
        rescore_cfg: Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels = self.single_width(in_channels)
        self.num_keypoints = num_keypoints
        filters = num_heatmap_filters
        self.heatmap_conv_layers = Sequential(
            ConvModule(in_channels, filters, 1, norm_cfg=BATCH_NORM),
            BasicBlock(filters, filters),
            nn.Conv2d(filters, 1 + num_keypoints, 1),
        )
        filters = num_keypoints * num_displacement_filters_per_keypoint
        self.displacement_conv_layers = Sequential(
            ConvModule(in_channels, filters, 1, norm_cfg=BATCH_NORM),
            AdaptiveActivationBlock(filters, filters, groups=num_keypoints),
            AdaptiveActivationBlock(filters, filters, groups=num_keypoints),
            nn.Conv2d(filters, 2 * num_keypoints, 1, groups=num_keypoints),
        )
        self.loss_module = ModuleDict(
            {
                "heatmap": MODELS.build(heatmap_loss),
                "displacement": MODELS.build(displacement_loss),
            }
        )
        self.decoder = self.build_decoder(decoder)
        self.rescore_net = RescoreNet(**rescore_cfg) if rescore_cfg is not None else None
        self._register_load_state_dict_pre_hook(_modernise_weights)

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Heatmaps (B, K + 1, H, W), the centre last, and displacements (B, 2 * K, H, W)."""
        x = last_map(feats)
        return self.heatmap_conv_layers(x), self.displacement_conv_layers(x)

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """`loss/heatmap` and `loss/displacement`."""
        heatmaps, displacements = self.forward(feats)
        names = ("heatmaps", "heatmap_weights", "displacements", "displacement_weights")
        wanted = {name: stacked_fields(batch_data_samples, name) for name in names}
        mask = heatmap_mask(batch_data_samples)
        self.check_targets(heatmaps, wanted["heatmaps"], batch_data_samples)
        return {
            "loss/heatmap": self.loss_module["heatmap"](
                heatmaps, wanted["heatmaps"], wanted["heatmap_weights"], mask
            ),
            "loss/displacement": self.loss_module["displacement"](
                displacements, wanted["displacements"], wanted["displacement_weights"]
            ),
        }

    @staticmethod
    def unflip(
        outputs: tuple[Tensor, Tensor], metainfo: Mapping[str, Any], test_cfg: Mapping[str, Any]
    ) -> tuple[Tensor, Tensor]:
        """Mirror heatmaps and displacements back."""
        heatmaps, displacements = outputs
        order = list(metainfo["flip_indices"])
        # the centre is its own mirror image
        heatmaps = flip_heatmaps(
            heatmaps, [*order, len(order)], shift_heatmap=test_cfg.get("shift_heatmap", False)
        )
        displacements = flip_heatmaps(displacements, order, "offset", shift_heatmap=False)
        # pixels mirror at their centres, coordinates at the border of the picture
        stride = metainfo["input_size"][0] / heatmaps.shape[-1]
        displacements[:, ::2] += (stride - 1) / stride
        return heatmaps, displacements

    def predict(
        self, feats: Any, batch_data_samples: Sequence[Any], test_cfg: Mapping[str, Any] = {}
    ) -> Any:
        """Predict the people of each picture.

        Args:
            feats: features; with `flip_test` a list of two.
            batch_data_samples: B samples.
            test_cfg: `flip_test`, `shift_heatmap`, `nms_dist_thr`, `nms_joints_thr`,
                `max_num_people`, `output_heatmaps`.

        Returns:
            B `InstanceData`; with `output_heatmaps` also B `PixelData` with `heatmaps` and
            `displacements`.

        Raises:
            ConfigError: `multiscale_test`, which DEKR does not know.
        """
        if test_cfg.get("multiscale_test", False):
            raise ConfigError("DEKRHead has no multi-scale test; set multiscale_test=False")
        heatmaps, displacements = self.test_outputs(feats, batch_data_samples, test_cfg)
        preds = [
            self._people(h, d, test_cfg, sample.metainfo)
            for h, d, sample in zip(heatmaps, displacements, batch_data_samples, strict=True)
        ]
        if test_cfg.get("output_heatmaps", False):
            maps = zip(heatmaps.detach(), displacements.detach(), strict=True)
            return preds, [PixelData(heatmaps=h, displacements=d) for h, d in maps]
        return preds

    def decode(  # type: ignore[override]  # MMPose's signature for this head
        self,
        heatmaps: Sequence[Tensor],
        displacements: Sequence[Tensor],
        test_cfg: Mapping[str, Any] = {},
        metainfo: Mapping[str, Any] = {},
    ) -> list[InstanceData]:
        """People of the first scale's maps, [(B, K + 1, H, W)] and [(B, 2 * K, H, W)]."""
        maps = zip(heatmaps[0], displacements[0], strict=True)
        return [self._people(h, d, test_cfg, metainfo) for h, d in maps]

    def _people(
        self,
        heatmaps: Tensor,
        displacements: Tensor,
        test_cfg: Mapping[str, Any],
        metainfo: Mapping[str, Any],
    ) -> InstanceData:
        """People of one picture's maps (K + 1, H, W) and (2 * K, H, W)."""
        self.require_decoder()
        keypoints, (root_scores, keypoint_scores) = self.decoder.decode(heatmaps, displacements)
        skeleton = metainfo.get("skeleton_links")
        if self.rescore_net is not None and skeleton and len(keypoints) > 0:
            factor = self.rescore_net(keypoints, keypoint_scores, skeleton)
            root_scores = root_scores * torch.where(factor.isnan(), 0, factor)
        keypoints, keypoint_scores = as_numpy(keypoints), as_numpy(keypoint_scores)
        scores = as_numpy(root_scores)[..., None] * keypoint_scores
        if len(keypoints) > 0 and test_cfg.get("nms_dist_thr", 0) > 0:
            people = [
                {"keypoints": points, "score": score}
                for points, score in zip(keypoints, keypoint_scores, strict=True)
            ]
            kept = nearby_joints_nms(
                people,
                test_cfg["nms_dist_thr"],
                test_cfg.get("nms_joints_thr"),
                score_per_joint=True,
                max_dets=test_cfg.get("max_num_people", 30),
            )
            keypoints, scores = keypoints[kept], scores[kept]
        return InstanceData(keypoints=keypoints, keypoint_scores=scores)


def _modernise_weights(state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Weights of 0.x: the centre came first, and displacements pointed the other way.

    Told by their names, not by a version: weights without metadata may be of any age.
    """
    old = f"{prefix}offset_conv_layers."
    if not any(key.startswith(old) for key in state_dict):
        return
    for key in list(state_dict):
        if key.startswith(old):
            value, rest = state_dict.pop(key), key[len(old) :]
            value = -value if rest.startswith("3.") else value
            state_dict[f"{prefix}displacement_conv_layers.{rest}"] = value
        elif key.startswith(f"{prefix}heatmap_conv_layers.2."):
            state_dict[key] = torch.roll(state_dict[key], -1, dims=0)
