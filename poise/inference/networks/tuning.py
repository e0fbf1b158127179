"""A network rearranged for speed: the same function, other last digits.

Batch norms go into the convolutions before them, and pictures lie in memory channel by channel of
a pixel, as convolutions on today's processors like it.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["agree", "fold_batch_norms", "tuned"]

_LOG = logging.getLogger(__name__)

#: Largest difference of outputs that counts as the same, in parts of the largest output.
TOLERANCE = 1e-3
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)


def tuned(model: Any, size: tuple[int, int]) -> Any:
    """Copy of an estimator that answers faster, or the estimator itself.

    Whether the copy gives the same outputs is tried out on a random picture; where it does not,
    it is said and the original stays.

    Args:
        model: estimator in eval mode; not changed.
        size: (width, height) of its input.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(2, 3, size[1], size[0], generator=generator).to(device)
    try:
        with torch.inference_mode():
            expected = model(sample, mode="tensor")
        quick = copy.deepcopy(model)
        fold_batch_norms(quick, sample)
        quick.to(memory_format=torch.channels_last)
        if hasattr(quick, "prefer_speed"):
            quick.prefer_speed()
        with torch.inference_mode():
            sample = sample.contiguous(memory_format=torch.channels_last)
            same = agree(quick(sample, mode="tensor"), expected)
    except Exception as error:  # any network is allowed to be odd
        _LOG.info("the network cannot be rearranged for speed: %s", error)
        return model
    if not same:
        _LOG.info("the network rearranged for speed gives other outputs; the original is used")
        return model
    return quick


def agree(found: Any, expected: Any, tolerance: float = TOLERANCE) -> bool:
    """Whether two outputs are the same but for rounding.

    Args:
        found, expected: tensors, or nested tuples of such.
        tolerance: in parts of the largest expected value.
    """
    if isinstance(expected, (tuple, list)):
        pairs = zip(found, expected, strict=True)
        return len(found) == len(expected) and all(agree(f, e, tolerance) for f, e in pairs)
    if not isinstance(expected, Tensor):
        return found == expected
    found, expected = found.detach(), expected.detach()
    scale = max(float(expected.abs().max()), 1e-6)
    return found.shape == expected.shape and bool(
        (found.float() - expected.float()).abs().max() <= tolerance * scale
    )


def fold_batch_norms(model: nn.Module, sample: Tensor) -> int:
    """Put each batch norm into the convolution that feeds it, in place.

    Which convolution feeds which norm is seen on a sample's way through the network, so it does
    not matter how modules are called or nested. Only pairs that always meet are folded.

    Args:
        model: in eval mode.
        sample: input (B, C, H, W).

    Returns:
        Number of pairs.
    """
    feeds = _feeding_convolutions(model, sample)
    names = {module: name for name, module in model.named_modules()}
    for norm, conv in feeds.items():
        _replace(model, names[conv], fuse_conv_bn_eval(conv, norm, _is_transposed(conv)))
        _replace(model, names[norm], nn.Identity())
    return len(feeds)


def _is_transposed(conv: nn.Module) -> bool:
    return isinstance(conv, nn.ConvTranspose2d)


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def _feeding_convolutions(model: nn.Module, sample: Tensor) -> dict[Any, Any]:
    """Norm -> the one convolution whose output it takes, and nobody else's."""
    # an output is held until the end, so that no other tensor gets its id
    source: dict[int, tuple[nn.Module, Tensor]] = {}
    fed: dict[nn.Module, set[nn.Module | None]] = {}
    users: dict[nn.Module, int] = {}
    calls: dict[nn.Module, int] = {}

    def after_conv(module: nn.Module, _args: Any, output: Tensor) -> None:
        source[id(output)] = module, output
        calls[module] = calls.get(module, 0) + 1

    def before_norm(module: nn.Module, args: Any) -> None:
        conv = source.get(id(args[0]), (None, None))[0]
        fed.setdefault(module, set()).add(conv)
        if conv is not None:
            users[conv] = users.get(conv, 0) + 1

    with _hooks(model, after_conv, before_norm), torch.no_grad():
        model(sample, mode="tensor")
    pairs = {norm: next(iter(convs)) for norm, convs in fed.items() if len(convs) == 1}
    owners = list(pairs.values())
    return {
        norm: conv
        for norm, conv in pairs.items()
        if conv is not None and owners.count(conv) == 1 and users[conv] == calls[conv]
    }


@contextmanager
def _hooks(model: nn.Module, after_conv: Any, before_norm: Any) -> Iterator[None]:
    handles = []
    for module in model.modules():
        # torch puts no norm into a transposed convolution in groups
        in_groups = _is_transposed(module) and getattr(module, "groups", 1) > 1
        if isinstance(module, _CONVOLUTIONS) and not in_groups:
            handles.append(module.register_forward_hook(after_conv))
        elif isinstance(module, _BatchNorm) and not module.training:
            handles.append(module.register_forward_pre_hook(before_norm))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
