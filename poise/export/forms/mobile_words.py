"""Networks in words that the converters for phones know: the same function, said plainly.

What NCNN or TFLite does not know, and how else it can be said, is here alone.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from poise.export.forms.rewriting import rewritten
from poise.layers.attention import SelfAttention
from poise.layers.csp import Focus

__all__ = ["PlainMethods", "plainly"]

#: Level at which a preprocessor is asked for its factors: large, so that they lose no digits.
_WHITE = 255.0


def plainly(network: nn.Module) -> nn.Module:
    """Copy without gradients, in layers that converters know."""
    network = rewritten(network).requires_grad_(False).eval()
    for module in list(network.modules()):
        preprocessor = getattr(module, "data_preprocessor", None)
        if hasattr(preprocessor, "normalize"):
            module.data_preprocessor = _Normalising(preprocessor)
        if isinstance(module, SelfAttention):
            _divide(module)
        if isinstance(module, Focus):
            _replace(module, "forward", _gather)
    return network


def _replace(module: nn.Module, name: str, function: Callable[..., Any]) -> None:
    """Give this module, and no other of its class, another method."""
    setattr(module, name, MethodType(function, module))


class PlainMethods(TorchFunctionMode):
    """Let methods of tensors be traced as others that NCNN has."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """`view_as` by `reshape`, bounds that are tensors by the smaller and the larger."""
        kwargs = kwargs or {}
        if func is Tensor.view_as:
            own, other = args
            return own.reshape(other.shape)
        if func is Tensor.clamp:
            bounds = dict(zip(("self", "min", "max"), args, strict=False)) | kwargs
            if all(isinstance(bounds.get(name), Tensor) for name in ("min", "max")):
                return bounds["self"].maximum(bounds["min"]).minimum(bounds["max"])
        return func(*args, **kwargs)


class _Normalising(nn.Module):
    """A preprocessor in pieces and sums.

    NCNN has no picking of channels in another order, which BGR to RGB is; and a convolution, which
    could do all at once, would have weights of 16 bits with `half`, too few for levels.

    Args:
        preprocessor: with `normalize`, linear in each channel.
    """

    factor: Tensor
    shift: Tensor

    def __init__(self, preprocessor: Any) -> None:
        super().__init__()
        black = preprocessor.normalize(torch.zeros(1, 3, 1, 1))
        # row i is what channel i alone gives
        rows = (preprocessor.normalize(torch.eye(3).reshape(3, 3, 1, 1) * _WHITE) - black).flatten(
            1
        )
        self.swaps = bool(rows[0, 0] == 0)
        self.register_buffer("factor", rows.sum(0) / _WHITE)
        self.register_buffer("shift", black.flatten())

    def normalize(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) BGR 0..255 -> what the preprocessor makes of it."""
        if self.swaps:
            pictures = torch.cat(pictures.split(1, dim=1)[::-1], dim=1)
        none, one = torch.zeros_like(self.shift), torch.ones_like(self.shift)
        return F.batch_norm(pictures, none, one, self.factor, self.shift, eps=0.0)


def _divide(attention: SelfAttention) -> None:
    """Give queries, keys and values a projection each: NCNN has no arrays of five axes."""
    joint = attention.qkv
    biases = (None,) * 3 if joint.bias is None else joint.bias.chunk(3)
    attention.parts = nn.ModuleList(
        _linear(weight, bias) for weight, bias in zip(joint.weight.chunk(3), biases, strict=True)
    )
    _replace(attention, "attend", _attend)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight.data = weight.detach().clone()
    if bias is not None:
        layer.bias.data = bias.detach().clone()
    return layer


def _attend(self: Any, x: Tensor, bias: Tensor | None = None) -> Tensor:
    """`SelfAttention.attend` with projections of their own."""
    shape = (*x.shape[:2], self.num_heads, x.shape[2] // self.num_heads)
    query, key, value = (part(x).reshape(shape).transpose(1, 2) for part in self.parts)
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=self.scale)
    return self.proj(out.transpose(1, 2).reshape(x.shape))


def _gather(self: Any, x: Tensor) -> Tensor:
    """`Focus.forward` with a convolution that picks pixels: NCNN's slices take no steps."""
    channels = x.shape[1]
    picks = torch.zeros(4, channels, channels, 2, 2)
    for part, (left, top) in enumerate((left, top) for left in (0, 1) for top in (0, 1)):
        picks[part, :, :, top, left] = torch.eye(channels)
    return self.conv(F.conv2d(x, picks.flatten(0, 1), stride=2))
