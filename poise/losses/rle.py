"""Residual log-likelihood estimation: a flow learns how regression errors are distributed.

Li 2021, "Human Pose Regression with Residual Log-likelihood Estimation", arXiv 2107.11291.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from poise.losses.weighting import check_option, require
from poise.registry import MODELS

__all__ = ["RLELoss", "RealNVP"]

LOG_2PI = math.log(2 * math.pi)
# added to sigma so that a sigmoid that saturates does not divide by zero
SIGMA_EPS = 1e-9


def _coupling_net(*, bounded: bool) -> nn.Sequential:
    """Network 2 -> 64 -> 64 -> 2 of one coupling layer; a bounded one ends in tanh."""
    layers: list[nn.Module] = [nn.Linear(2, 64), nn.LeakyReLU(), nn.Linear(64, 64)]
    layers += [nn.LeakyReLU(), nn.Linear(64, 2)]
    return nn.Sequential(*layers, nn.Tanh()) if bounded else nn.Sequential(*layers)


class RealNVP(nn.Module):
    """Invertible map between 2D errors and a standard normal (Dinh 2017, arXiv 1605.08803).

    Six coupling layers; each leaves one coordinate as it is and moves the other one by an
    amount that depends on the first.
    """

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        # loc and cov are the prior's; kept because released weights contain them
        self.register_buffer("loc", torch.zeros(2))
        self.register_buffer("cov", torch.eye(2))
        self.register_buffer("mask", torch.tensor([[0.0, 1.0], [1.0, 0.0]] * 3))
        self.s = nn.ModuleList([_coupling_net(bounded=True) for _ in range(len(self.mask))])
        self.t = nn.ModuleList([_coupling_net(bounded=False) for _ in range(len(self.mask))])
        self.init_weights()

    def init_weights(self) -> None:
        """Start close to the identity."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight, gain=0.01)

    def backward_p(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map errors to the prior's space.

        Args:
            x: (M, 2) errors in units of sigma.

        Returns:
            (M, 2) latent points and (M,) log determinants of the Jacobian.
        """
        log_det = x.new_zeros(len(x))
        for kept, scale, shift in zip(
            reversed(self.mask), reversed(self.s), reversed(self.t), strict=True
        ):
            moved = 1 - kept
            known = kept * x
            s = scale(known) * moved
            x = known + moved * (x - shift(known) * moved) * torch.exp(-s)
            log_det = log_det - s.sum(dim=1)
        return x, log_det

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of errors (M, 2), shape (M,)."""
        z, log_det = self.backward_p(x)
        return log_det - LOG_2PI - 0.5 * z.square().sum(dim=1)


@MODELS.register_module()
class RLELoss(nn.Module):
    """Negative log-likelihood of a regression under a learned error distribution.

    Args:
        use_target_weight: weigh the losses by the weights given to `forward`.
        size_average: divide the sum by the batch size.
        residual: let the flow learn only what differs from `q_distribution`.
        q_distribution: "laplace" or "gaussian".
    """

    def __init__(
        self,
        use_target_weight: bool = False,
        size_average: bool = True,
        residual: bool = True,
        q_distribution: str = "laplace",
    ) -> None:
        super().__init__()
        self.size_average = size_average
        self.use_target_weight = use_target_weight
        self.residual = residual
        self.q_distribution = check_option(
            self, "q_distribution", q_distribution, ("laplace", "gaussian")
        )
        self.flow_model = RealNVP()

    def forward(
        self, pred: Tensor, sigma: Tensor, target: Tensor, target_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss.

        Args:
            pred: (B, K, 2) coordinates.
            sigma: (B, K, 2) logits of the standard deviations.
            target: (B, K, 2) coordinates, same space as `pred`.
            target_weight: (B, K, 1) or (B, K, 2); needed with `use_target_weight`.
        """
        sigma = sigma.sigmoid()
        error = (pred - target) / (sigma + SIGMA_EPS)
        log_phi = self.flow_model.log_prob(error.reshape(-1, 2)).reshape(*target.shape[:2], 1)
        loss = sigma.log() - log_phi
        if self.residual:
            loss = loss + self._negative_log_q(sigma, error)
        if self.use_target_weight:
            loss = loss * require(self, "target_weight", target_weight)
        total = loss.sum()
        return total / len(target) if self.size_average else total

    def _negative_log_q(self, sigma: Tensor, error: Tensor) -> Tensor:
        if self.q_distribution == "laplace":
            return torch.log(2 * sigma) + error.abs()
        return torch.log(sigma * math.sqrt(2 * math.pi)) + 0.5 * error.square()
