"""Random draws of transforms: where numbers come from, and how to hold them still.

All transforms draw from the global generators `numpy.random` and `random`, which the data loader
seeds per sample. A method marked with `cache_randomness` only draws; what it returns is applied
elsewhere, so the same draw can be applied to several pictures.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from poise.errors import ArgumentError, PoiseError

__all__ = [
    "avoid_cache_randomness",
    "cache_random_params",
    "cache_randomness",
    "truncated_normal",
]

_F = TypeVar("_F", bound=Callable[..., Any])
_C = TypeVar("_C", bound=type)

_DRAWS = "__draws_random__"
_HELD = "_held_draws"
_NEVER_HELD = "_avoid_cache_randomness"


def cache_randomness(method: _F) -> _F:
    """Mark a method as one that draws random numbers.

    Within `cache_random_params` it draws once per transform and then repeats its answer.

    Raises:
        ArgumentError: not a plain method with `self` as its first parameter.
    """
    if not inspect.isfunction(method):
        raise ArgumentError(
            f"cache_randomness decorates a method, not {type(method).__name__!r}; "
            "put it directly above the def"
        )
    if next(iter(inspect.signature(method).parameters), None) != "self":
        raise ArgumentError(
            f"cache_randomness decorates methods whose first parameter is self; "
            f"{method.__qualname__} is not one"
        )

    @functools.wraps(method)
    def draw(self: Any, *args: Any, **kwargs: Any) -> Any:
        held = self.__dict__.get(_HELD)
        if held is None:
            return method(self, *args, **kwargs)
        if method.__name__ not in held:
            held[method.__name__] = method(self, *args, **kwargs)
        return held[method.__name__]

    setattr(draw, _DRAWS, True)
    return draw  # type: ignore[return-value]


def avoid_cache_randomness(cls: _C) -> _C:
    """Mark a transform class whose draws cannot be held, such as wrappers of other libraries.

    Raises:
        PoiseError: a method of the class is marked with `cache_randomness` all the same.
    """
    marked = [name for name in dir(cls) if hasattr(getattr(cls, name, None), _DRAWS)]
    if marked:
        raise PoiseError(
            f"{cls.__name__} is marked with avoid_cache_randomness, yet its "
            f"{', '.join(marked)} is marked with cache_randomness; remove one of the two"
        )
    setattr(cls, _NEVER_HELD, True)
    return cls


@contextmanager
def cache_random_params(transforms: Any) -> Iterator[None]:
    """Let transforms repeat their first draws until the block ends.

    Args:
        transforms: a transform, or nested iterables of transforms.

    Raises:
        PoiseError: one of them cannot hold its draws (`avoid_cache_randomness`).
    """
    held = list(_flatten(transforms))
    for transform in held:
        # read from the class itself: a subclass may well hold its draws
        if type(transform).__dict__.get(_NEVER_HELD, False):
            raise PoiseError(
                f"{type(transform).__name__} draws its random numbers where they cannot be held, "
                "so it cannot share them between pictures; take it out of the shared part"
            )
    try:
        for transform in held:
            transform.__dict__[_HELD] = {}
        yield
    finally:
        for transform in held:
            transform.__dict__.pop(_HELD, None)


def _flatten(transforms: Any) -> Iterator[Any]:
    if hasattr(transforms, "transform"):
        yield transforms
    if isinstance(transforms, Iterable):
        for item in transforms:
            yield from _flatten(item)


def truncated_normal(low: float, high: float, size: tuple[int, ...] = ()) -> Any:
    """Standard normal numbers between `low` and `high`, float32, of shape `size`.

    Inverse of the distribution function at uniform draws, one each: the same numbers as
    `scipy.stats.truncnorm.rvs` gives after the same seed, 50 times faster.
    """
    # 0.15 s to import, needed in training only
    from scipy.special import ndtr, ndtri

    below, above = ndtr(low), ndtr(high)
    return np.asarray(ndtri(below + np.random.uniform(size=size) * (above - below)), np.float32)[()]
