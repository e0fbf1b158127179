"""Gated attention unit of RTMPose: keypoints attend to each other in linear cost of width.

Hua 2022, "Transformer Quality in Linear Time", section 3.2, arXiv 2202.10447, with the squared
ReLU attention and scale norm of RTMPose (Jiang 2023, arXiv 2303.07399).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import ConfigError, one_of
from poise.layers.drop import DropPath
from poise.layers.gau import squared_products
from poise.layers.linear import Linear
from poise.layers.scale import ChannelWiseScale, ScaleNorm

__all__ = ["RTMCCBlock", "rotary_embedding"]

_ACTIVATIONS = {"SiLU": nn.SiLU, "ReLU": nn.ReLU}


def rotary_embedding(x: Tensor, dim: int) -> Tensor:
    """Turn pairs of features by an angle that grows with the position along `dim`.

    Su 2021, "RoFormer", section 3.2, arXiv 2104.09864. As in RTMPose the frequencies rise
    from 1 to 10000 where RoFormer's fall.

    Args:
        x: (..., C) with even C.
        dim: axis of the positions, not the last one.

    Returns:
        As `x`; an axis of size 1 stands in front of `x` with two axes.
    """
    half = x.shape[-1] // 2
    position = torch.arange(x.shape[dim], dtype=torch.float32, device=x.device)
    frequency = 10000 ** (torch.arange(half, device=x.device) / half)
    angle = position.reshape(-1, *[1] * (x.ndim - dim - 2), 1) * frequency
    if angle.ndim == 2:
        angle = angle.unsqueeze(0)
    # angles are always of 32 bits, since 16 hold no large position
    sin, cos = angle.sin().to(x.dtype), angle.cos().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class RTMCCBlock(nn.Module):
    """Gated attention unit with a residual path.

    Args:
        num_token: number of tokens (keypoints); sizes the relative position bias.
        in_token_dims: width of the input tokens.
        out_token_dims: width of the output tokens; where it equals the input's there is a
            residual path.
        expansion_factor: width of the gate, relative to the input.
        s: width of queries and keys.
        eps: smallest norm that the scale norm divides by.
        dropout_rate: dropout of the attention.
        drop_path: probability of leaving the unit out of a sample.
        attn_type: "self-attn", or "cross-attn" with separate keys and values.
        act_fn: "SiLU" or "ReLU", or the class.
        bias: linear layers have a bias.
        use_rel_bias: add a bias by relative position to the attention.
        pos_enc: rotary position embedding of queries and keys.

    Raises:
        ConfigError: unknown `act_fn` or `attn_type`.
    """

    def __init__(
        self,
        num_token: int,
        in_token_dims: int,
        out_token_dims: int,
        expansion_factor: float = 2,
        s: int = 128,
        eps: float = 1e-5,
        dropout_rate: float = 0.0,
        drop_path: float = 0.0,
        attn_type: str = "self-attn",
        act_fn: str | type[nn.Module] = "SiLU",
        bias: bool = False,
        use_rel_bias: bool = True,
        pos_enc: bool = False,
    ) -> None:
        super().__init__()
        activation: Any = act_fn
        if isinstance(act_fn, str):
            # configs that import it say torch.nn.SiLU
            activation = _ACTIVATIONS.get(act_fn.removeprefix("torch.nn."))
        if activation is None or activation not in _ACTIVATIONS.values():
            raise ConfigError(f"act_fn should be one of {list(_ACTIVATIONS)}, got {act_fn!r}")
        self.s = s
        self.num_token = num_token
        self.use_rel_bias = use_rel_bias
        self.attn_type = one_of(attn_type, ("self-attn", "cross-attn"), "attn_type")
        self.pos_enc = pos_enc
        self.e = int(in_token_dims * expansion_factor)
        self.dropout_rate = dropout_rate
        self.shortcut = in_token_dims == out_token_dims

        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        is_self = attn_type == "self-attn"
        if use_rel_bias and is_self:
            self.w = nn.Parameter(torch.rand(2 * num_token - 1))
        elif use_rel_bias:
            self.a = nn.Parameter(torch.rand(1, s))
            self.b = nn.Parameter(torch.rand(1, s))
        self.o = Linear(self.e, out_token_dims, bias=bias)
        if is_self:
            self.uv = Linear(in_token_dims, 2 * self.e + s, bias=bias)
            self.gamma = nn.Parameter(torch.rand(2, s))
            self.beta = nn.Parameter(torch.rand(2, s))
        else:
            self.uv = Linear(in_token_dims, self.e + s, bias=bias)
            self.k_fc = Linear(in_token_dims, s, bias=bias)
            self.v_fc = Linear(in_token_dims, self.e, bias=bias)
            nn.init.xavier_uniform_(self.k_fc.weight)
            nn.init.xavier_uniform_(self.v_fc.weight)
        nn.init.xavier_uniform_(self.uv.weight)
        self.ln = ScaleNorm(in_token_dims, eps=eps)
        self.act_fn = activation(inplace=True)
        if self.shortcut:
            self.res_scale = ChannelWiseScale(in_token_dims)
        if dropout_rate > 0:
            self.dropout = nn.Dropout(dropout_rate)

    def rel_pos_bias(self, seq_len: int, k_len: int | None = None) -> Tensor:
        """Bias of the attention by relative position, (1, seq_len, k_len)."""
        if self.attn_type == "self-attn":
            step = torch.arange(seq_len, device=self.w.device)
            # entry (i, j) is the weight of the distance j - i
            return self.w[step[None, :] - step[:, None] + seq_len - 1].unsqueeze(0)
        a = rotary_embedding(self.a.repeat(seq_len, 1), dim=0)
        b = rotary_embedding(self.b.repeat(seq_len if k_len is None else k_len, 1), dim=0)
        return a @ b.transpose(1, 2)

    def _project(self, inputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Gate, values, queries and keys."""
        if self.attn_type == "self-attn":
            gate, value, base = self.act_fn(self.uv(self.ln(inputs))).split(
                [self.e, self.e, self.s], dim=2
            )
            # queries and keys are one projection, scaled and shifted in two ways
            both = base.unsqueeze(2) * self.gamma + self.beta
            if self.pos_enc:
                both = rotary_embedding(both, dim=1)
            query, key = both.unbind(dim=2)
            return gate, value, query, key
        x, key, value = inputs
        gate, query = self.act_fn(self.uv(self.ln(x))).split([self.e, self.s], dim=2)
        key, value = self.k_fc(key), self.v_fc(value)
        if self.pos_enc:
            query, key = rotary_embedding(query, dim=1), rotary_embedding(key, dim=1)
        return gate, value, query, key

    def _attend(self, inputs: Tensor | tuple[Tensor, ...]) -> Tensor:
        gate, value, query, key = self._project(inputs)
        bias = self.rel_pos_bias(query.shape[1], key.shape[1]) if self.use_rel_bias else None
        kernel = squared_products(query, key, self.s, bias)
        if self.dropout_rate > 0:
            kernel = self.dropout(kernel)
        return self.o(gate * (kernel @ value))

    def forward(self, x: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Tokens (B, K, C) -> (B, K, C'); cross attention takes (x, key, value)."""
        attended = self.drop_path(self._attend(x))
        if not self.shortcut:
            return attended
        residual = x if self.attn_type == "self-attn" else x[0]
        return self.res_scale(residual) + attended
