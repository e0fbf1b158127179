"""Losses between predicted and wanted heatmaps, output space."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise._options import options_of
from poise.errors import ConfigError, DataError
from poise.losses.weighting import WeightedLoss, require, spread
from poise.registry import MODELS

__all__ = [
    "AdaptiveWingLoss",
    "CombinedTargetMSELoss",
    "FocalHeatmapLoss",
    "KeypointMSELoss",
    "KeypointOHKMMSELoss",
]


def _check_weights(owner: object, weights: Tensor, target: Tensor) -> None:
    if weights.ndim not in (2, 4) or weights.shape != target.shape[: weights.ndim]:
        raise DataError(
            f"{type(owner).__name__}: target weights should have shape "
            f"{tuple(target.shape[:2])} (one a keypoint) or {tuple(target.shape)} (one a "
            f"pixel), got {tuple(weights.shape)}"
        )


def _check_mask(owner: object, mask: Tensor, target: Tensor) -> None:
    fits = mask.ndim == target.ndim and all(
        m in (1, t) for m, t in zip(mask.shape, target.shape, strict=True)
    )
    if not fits:
        raise DataError(
            f"{type(owner).__name__}: the mask should broadcast over the target heatmaps of "
            f"shape {tuple(target.shape)}, got {tuple(mask.shape)}"
        )


@MODELS.register_module()
class KeypointMSELoss(nn.Module):
    """Mean squared error of heatmaps, the usual loss of heatmap models.

    Weights given to `forward` always count; `use_target_weight` is kept for configs only,
    since MMPose does not look at it either.

    Args:
        use_target_weight: kept for configs.
        skip_empty_channel: leave out heatmaps whose target is zero everywhere (a keypoint
            that is not in the picture).
        loss_weight: factor of the result.
    """

    def __init__(
        self,
        use_target_weight: bool = False,
        skip_empty_channel: bool = False,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.use_target_weight = use_target_weight
        self.skip_empty_channel = skip_empty_channel
        self.loss_weight = loss_weight

    def forward(
        self,
        output: Tensor,
        target: Tensor,
        target_weights: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return the loss, averaged over all pixels, masked ones included.

        Args:
            output: (B, K, H, W) predicted heatmaps.
            target: (B, K, H, W) wanted heatmaps.
            target_weights: (B, K) or (B, K, H, W).
            mask: (B, K, H, W) or (B, 1, H, W), 0 where a pixel does not count.

        Raises:
            DataError: shapes that do not fit.
        """
        weights = self._pixel_weights(target, target_weights, mask)
        if weights is None:
            return F.mse_loss(output, target) * self.loss_weight
        squared = F.mse_loss(output, target, reduction="none")
        return (squared * weights).mean() * self.loss_weight

    def _pixel_weights(
        self, target: Tensor, target_weights: Tensor | None, mask: Tensor | None
    ) -> Tensor | None:
        """Product of mask, keypoint weights and the nonempty channels; None where all count."""
        factors = []
        if mask is not None:
            _check_mask(self, mask, target)
            factors.append(mask)
        if target_weights is not None:
            _check_weights(self, target_weights, target)
            factors.append(spread(target_weights, target))
        if self.skip_empty_channel:
            factors.append(spread(target.flatten(2).any(dim=2), target))
        if not factors:
            return None
        product = factors[0]
        for factor in factors[1:]:
            product = product * factor
        return product


@MODELS.register_module()
class FocalHeatmapLoss(KeypointMSELoss):
    """CornerNet's focal loss of heatmaps (Law 2018, eq. 1; arXiv 1808.01244).

    Pixels near a keypoint are punished less for being on, so that the few positive pixels are
    not drowned by the many negative ones. Predictions are probabilities in (0, 1).

    Args:
        alpha: how strongly easy pixels are played down.
        beta: how strongly pixels near a keypoint are played down.
        **options: those of `KeypointMSELoss`.
    """

    @options_of(KeypointMSELoss, positional=True)
    def __init__(self, alpha: int = 2, beta: int = 4, **options: Any) -> None:
        super().__init__(**options)
        self.alpha = alpha
        self.beta = beta

    def forward(
        self,
        output: Tensor,
        target: Tensor,
        target_weights: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return the loss, divided by the number of positive pixels.

        Args:
            output: (B, K, H, W) predicted probabilities.
            target: (B, K, H, W) wanted heatmaps with peaks of exactly 1.
            target_weights: (B, K) or (B, K, H, W).
            mask: (B, K, H, W) or (B, 1, H, W).
        """
        positive = (target == 1).to(output.dtype)
        negative = (target < 1).to(output.dtype) * (1 - target) ** self.beta
        weights = self._pixel_weights(target, target_weights, mask)
        if weights is not None:
            positive, negative = positive * weights, negative * weights
        missed = positive * (1 - output) ** self.alpha * output.log()
        false = negative * output**self.alpha * (1 - output).log()
        count = positive.sum()
        # without any positive pixel only the false alarms count, undivided
        total = torch.where(
            count > 0,
            (missed.sum() + false.sum()) / count.clamp(min=torch.finfo(count.dtype).tiny),
            false.sum(),
        )
        return -total * self.loss_weight


@MODELS.register_module()
class CombinedTargetMSELoss(nn.Module):
    """Loss of UDP's combined targets: a response map and x, y offset maps per keypoint.

    Offsets count where the wanted response is on (Huang 2020, "The Devil is in the Details",
    section 3.3).

    Args:
        use_target_weight: weigh the response maps by the keypoint weights.
        loss_weight: factor of the result.
    """

    def __init__(self, use_target_weight: bool = False, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.use_target_weight = use_target_weight
        self.loss_weight = loss_weight

    def forward(self, output: Tensor, target: Tensor, target_weights: Tensor) -> Tensor:
        """Return the loss.

        Args:
            output: (B, 3 * K, H, W), channels in the order response, x, y of each keypoint.
            target: (B, 3 * K, H, W).
            target_weights: (B, K).

        Raises:
            DataError: the number of channels is no multiple of 3.
        """
        if output.shape[1] % 3:
            raise DataError(
                "CombinedTargetMSELoss needs three channels a keypoint (response, x, y "
                f"offset), got {output.shape[1]} channels; with plain heatmaps use "
                "KeypointMSELoss"
            )
        response, offsets = self._parts(output)
        wanted, wanted_offsets = self._parts(target)
        if self.use_target_weight:
            weights = spread(require(self, "target_weights", target_weights), wanted)
            response, wanted = response * weights, wanted * weights
        gate = wanted.unsqueeze(2)
        # one half for each of the three maps; mse over (x, y) together is their mean
        regression = F.mse_loss(gate * offsets, gate * wanted_offsets) * 2
        return 0.5 * (F.mse_loss(response, wanted) + regression) * self.loss_weight

    @staticmethod
    def _parts(maps: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3K, H, W) -> responses (B, K, H, W) and offsets (B, K, 2, H, W)."""
        maps = maps.unflatten(1, (-1, 3))
        return maps[:, :, 0], maps[:, :, 1:]


@MODELS.register_module()
class KeypointOHKMMSELoss(nn.Module):
    """Mean squared error of the hardest keypoints of each sample.

    Online hard keypoint mining (Chen 2018, Cascaded Pyramid Network, section 3.2).

    Args:
        use_target_weight: weigh the heatmaps by the keypoint weights.
        topk: how many keypoints of a sample count.
        loss_weight: factor of the result.
    """

    def __init__(
        self, use_target_weight: bool = False, topk: int = 8, loss_weight: float = 1.0
    ) -> None:
        super().__init__()
        if topk <= 0:
            raise ConfigError(f"KeypointOHKMMSELoss: `topk` should be positive, got {topk}")
        self.use_target_weight = use_target_weight
        self.topk = topk
        self.loss_weight = loss_weight

    def forward(self, output: Tensor, target: Tensor, target_weights: Tensor) -> Tensor:
        """Return the loss.

        Args:
            output: (B, K, H, W).
            target: (B, K, H, W).
            target_weights: (B, K).

        Raises:
            DataError: fewer keypoints than `topk`.
        """
        if output.shape[1] < self.topk:
            raise DataError(
                f"KeypointOHKMMSELoss: topk ({self.topk}) should not be larger than the "
                f"number of keypoints, got heatmaps of {output.shape[1]} keypoints"
            )
        squared = F.mse_loss(output, target, reduction="none")
        if self.use_target_weight:
            weights = spread(require(self, "target_weights", target_weights), target)
            # weights multiply prediction and target, so the square has them squared
            squared = squared * weights**2
        hardest = squared.mean(dim=(2, 3)).topk(self.topk, dim=1, sorted=False).values
        return hardest.mean() * self.loss_weight


@MODELS.register_module()
class AdaptiveWingLoss(WeightedLoss):
    """Wing loss whose curve follows the target: sharp on keypoints, soft on background.

    Wang 2019, "Adaptive Wing Loss for Robust Face Alignment via Heatmap Regression", eq. 3.

    Args:
        alpha: exponent on background; it falls by the target's value.
        omega: height of the curved part.
        epsilon: width of the curved part.
        theta: error at which the curve turns into a line.
        **options: those of `WeightedLoss`.
    """

    @options_of(WeightedLoss, positional=True)
    def __init__(
        self,
        alpha: float = 2.1,
        omega: float = 14,
        epsilon: float = 1,
        theta: float = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.alpha = float(alpha)
        self.omega = float(omega)
        self.epsilon = float(epsilon)
        self.theta = float(theta)

    def criterion(self, pred: Tensor, target: Tensor) -> Tensor:
        """Mean loss of heatmaps (B, K, H, W) that are weighted already."""
        error = (target - pred).abs()
        power = self.alpha - target
        ratio = self.theta / self.epsilon
        at_theta = ratio**power
        # slope and offset of the line, chosen so that value and derivative are continuous
        slope = self.omega / (1 + at_theta) * power * ratio ** (power - 1) / self.epsilon
        offset = self.theta * slope - self.omega * torch.log1p(at_theta)
        curve = self.omega * torch.log1p((error / self.epsilon) ** power)
        return torch.where(error < self.theta, curve, slope * error - offset).mean()

    def forward(
        self, output: Tensor, target: Tensor, target_weights: Tensor | None = None
    ) -> Tensor:
        """Return the loss.

        Args:
            output: (B, K, H, W).
            target: (B, K, H, W), values in 0..1.
            target_weights: (B, K) or (B, K, H, W); needed with `use_target_weight`.

        Raises:
            DataError: weights of another shape.
        """
        if self.use_target_weight:
            _check_weights(self, require(self, "target_weights", target_weights), target)
        return super().forward(output, target, target_weights)
