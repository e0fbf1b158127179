"""RTMO's dynamic coordinate classifier: bins that follow the person's box.

Lu 2023, "RTMO", section 3.2, arXiv 2312.07526.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.layers import BaseModule, Scale
from poise.layers.gau import GAUEncoder
from poise.layers.sine_position import SinePositionalEncoding

__all__ = ["DCC", "DCC_GAU"]

#: settings of the gated attention unit unless a config says otherwise
DCC_GAU = {
    "s": 128,
    "expansion_factor": 2,
    "dropout_rate": 0.0,
    "drop_path": 0.0,
    "act_fn": "SiLU",
    "use_rel_bias": False,
    "pos_enc": "add",
}

#: factor of the learned deviations, which start as a sigmoid
SIGMA_SCALE = 0.1
#: largest magnitude of a logit, so that half precision holds it
LOGIT_LIMIT = 5e4
SOFTMAX_EPS = 1e-8
MIN_SIGMA = 1e-3


class DCC(BaseModule):
    """Keypoints of people as distributions over bins that span each one's box.

    Args:
        in_channels: channels of a pose feature.
        num_keypoints: K.
        feat_channels: channels of a keypoint feature.
        num_bins: along x and y.
        spe_channels: channels of the bins' position encoding.
        spe_temperature: of that encoding.
        gau_cfg: settings of the gated attention unit; None for none.
    """

    def __init__(
        self,
        in_channels: int,
        num_keypoints: int,
        feat_channels: int,
        num_bins: Sequence[int],
        spe_channels: int = 128,
        spe_temperature: float = 300.0,
        gau_cfg: Mapping[str, Any] | None = DCC_GAU,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.num_keypoints = num_keypoints
        self.feat_channels = feat_channels
        self.num_bins = tuple(num_bins)
        self.spe = SinePositionalEncoding(spe_channels, temperature=spe_temperature)
        if gau_cfg is not None:
            # a relative bias is RTMPose's; this unit has none
            settings = {k: v for k, v in gau_cfg.items() if k != "use_rel_bias"}
            self.gau = GAUEncoder(feat_channels, feat_channels, **settings)
            if settings.get("pos_enc", "none") in ("add", "rope"):
                self.pos_enc = nn.Parameter(torch.randn(num_keypoints, settings["s"]))
        width = feat_channels * num_keypoints
        self.pose_to_kpts = nn.Sequential(nn.Linear(in_channels, width), nn.BatchNorm1d(width))
        self.x_fc = nn.Linear(spe_channels, feat_channels)
        self.y_fc = nn.Linear(spe_channels, feat_channels)
        self.sigma_fc = nn.Sequential(
            nn.Linear(in_channels, num_keypoints), nn.Sigmoid(), Scale(SIGMA_SCALE)
        )
        self.register_buffer("y_bins", torch.linspace(-0.5, 0.5, self.num_bins[1]))
        self.register_buffer("x_bins", torch.linspace(-0.5, 0.5, self.num_bins[0]))

    def bins(self, bbox_cs: Tensor) -> tuple[Tensor, Tensor]:
        """Positions of the x bins and y bins, (..., bins), of centres and scales (..., 4)."""
        cx, cy, width, height = bbox_cs.unsqueeze(-1).unbind(dim=-2)
        return self.x_bins * width + cx, self.y_bins * height + cy

    def distributions(
        self, pose_feats: Tensor, bbox_cs: Tensor, grids: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Probabilities of the x bins and y bins, (..., K, bins).

        Args:
            pose_feats: (..., C) features of points that are people.
            bbox_cs: (..., 4) centres and scales of their boxes, input space.
            grids: (..., 2) the points.
        """
        features = self.pose_to_kpts(pose_feats)
        features = features.unflatten(-1, (self.num_keypoints, self.feat_channels))
        if hasattr(self, "gau"):
            features = self.gau(features, pos_enc=getattr(self, "pos_enc", None))
        # bins are encoded by their place relative to the grid point
        from_point = torch.cat([bbox_cs[..., :2] - grids, bbox_cs[..., 2:]], dim=-1)
        x, y = (
            (features @ fc(self.spe(position=bins)).transpose(-1, -2))
            for fc, bins in zip((self.x_fc, self.y_fc), self.bins(from_point), strict=True)
        )
        return _softmax(x), _softmax(y)

    def _expectation(self, x: Tensor, y: Tensor, bbox_cs: Tensor) -> Tensor:
        """Mean positions (..., K, 2) of distributions."""
        x_bins, y_bins = self.bins(bbox_cs)
        return torch.stack(
            [(x * x_bins.unsqueeze(-2)).sum(-1), (y * y_bins.unsqueeze(-2)).sum(-1)], dim=-1
        )

    @torch.no_grad()
    def forward_covariances(
        self, pose_feats: Tensor, bbox_cs: Tensor, grids: Tensor, areas: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Keypoints (..., K, 2) and their covariances (..., K, 2, 2), input space.

        The likelihood that the classifier is trained by is that of a mixture: a bin by its
        probability, and about it a Laplacian of scale 2 s sqrt(area), with the learned deviation
        s (Lu 2023, section 3.2). So along each axis the variance is that of the bins plus twice the
        scale squared, 8 s² area.

        Args:
            pose_feats, bbox_cs, grids: see `distributions`.
            areas: (...) of the people, pixels.
        """
        x, y = self.distributions(pose_feats, bbox_cs, grids)
        keypoints = self._expectation(x, y, bbox_cs)
        spread = torch.stack(
            [
                (p * (bins.unsqueeze(-2) - keypoints[..., axis : axis + 1]) ** 2).sum(-1)
                for axis, (p, bins) in enumerate(zip((x, y), self.bins(bbox_cs), strict=True))
            ],
            dim=-1,
        )
        scale = 2 * self.sigma_fc(pose_feats).clamp(min=MIN_SIGMA)
        variances = spread + 2 * (scale**2 * areas.clamp(min=1).unsqueeze(-1)).unsqueeze(-1)
        return keypoints, torch.diag_embed(variances)

    def generate_target_heatmap(
        self, kpt_targets: Tensor, bbox_cs: Tensor, sigmas: Tensor, areas: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Wanted distributions under a Laplacian error, (M, K, bins) each.

        Args:
            kpt_targets: (M, K, 2), input space.
            bbox_cs: (M, 4).
            sigmas: (M, K) learned deviations, relative to the size.
            areas: (M,) pixels.
        """
        size = areas.sqrt().clamp(min=1).reshape(-1, 1, 1)
        sigmas = sigmas.clamp(min=MIN_SIGMA).unsqueeze(2)
        x, y = (
            torch.exp(-(kpt_targets[..., i : i + 1] - bins.unsqueeze(1)).abs() / size / sigmas / 2)
            / sigmas
            for i, bins in enumerate(self.bins(bbox_cs))
        )
        return x, y

    def forward_train(
        self, pose_feats: Tensor, bbox_cs: Tensor, grids: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
        """Keypoints (M, K, 2), distributions and deviations (M, K); see `distributions`."""
        x, y = self.distributions(pose_feats, bbox_cs, grids)
        return self._expectation(x, y, bbox_cs), (x, y), self.sigma_fc(pose_feats)

    @torch.no_grad()
    def forward_test(self, pose_feats: Tensor, bbox_cs: Tensor, grids: Tensor) -> Tensor:
        """Keypoints (..., K, 2), input space; see `distributions`."""
        x, y = self.distributions(pose_feats, bbox_cs, grids)
        return self._expectation(x, y, bbox_cs)

    def switch_to_deploy(self, test_cfg: Mapping[str, Any] | None = None) -> None:
        """Fold the norm into the linear layer before it, which also allows more axes."""
        if isinstance(self.pose_to_kpts, nn.Sequential):
            self.pose_to_kpts = nn.utils.fuse_linear_bn_eval(*self.pose_to_kpts.eval())


def _softmax(logits: Tensor) -> Tensor:
    logits = logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
    power = (logits - logits.amax(dim=-1, keepdim=True).detach()).exp()
    return power / (power.sum(dim=-1, keepdim=True) + SOFTMAX_EPS)
