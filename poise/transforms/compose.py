"""A pipeline: transforms applied one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from poise.errors import ArgumentError, DataError
from poise.registry import TRANSFORMS
from poise.transforms.base import BaseTransform

__all__ = ["Compose"]

Transform = dict[str, Any] | Callable[[dict[str, Any]], Any]


@TRANSFORMS.register_module(scope="mmcv")
class Compose(BaseTransform):
    """Apply transforms in order, until one of them drops the sample.

    Args:
        transforms: configs (`dict(type="LoadImage")`), transforms or any callables that take and
            return `results`; or a single one. Lists may stand where configs have tuples.

    Raises:
        ArgumentError: an item is neither a config nor callable.
        DataError: a step returned something else than a dict or None.

    Example:
        >>> Compose([lambda results: results | {"seen": True}])({})
        {'seen': True}
    """

    def __init__(self, transforms: Transform | Sequence[Transform] | None = None) -> None:
        if transforms is None:
            transforms = []
        if not isinstance(transforms, Sequence):
            transforms = [transforms]
        self.transforms = [_build(item, place) for place, item in enumerate(transforms)]
        for place, step in enumerate(self.transforms):
            if isinstance(step, BaseTransform):
                step.follow(self.transforms[:place])

    def __iter__(self) -> Iterator[Callable[[dict[str, Any]], Any]]:
        return iter(self.transforms)

    def __len__(self) -> int:
        return len(self.transforms)

    def transform(self, results: dict[str, Any]) -> Any:
        """Results of the last step; None as soon as one step returns None."""
        for place, step in enumerate(self.transforms):
            if not isinstance(results, dict):
                raise DataError(
                    f"step {place - 1} of the pipeline ({_name(self.transforms[place - 1])}) "
                    f"returned {type(results).__name__}, but the next step, {_name(step)}, needs "
                    "a dict; return results, or None to drop the sample"
                )
            try:
                results = step(results)
            except Exception as error:
                error.add_note(f"in step {place} of the pipeline, {_name(step)}")
                raise
            if results is None:
                return None
        return results

    def __repr__(self) -> str:
        lines = "".join(f"\n    {step}" for step in self.transforms)
        return f"{type(self).__name__}({lines}\n)"


def _build(item: Any, place: int) -> Callable[[dict[str, Any]], Any]:
    step = TRANSFORMS.build(item) if isinstance(item, dict) else item
    if not callable(step):
        raise ArgumentError(
            f"item {place} of the pipeline must be a config (a dict with 'type') or a callable "
            f"that takes results, got {type(step).__name__} {step!r}"
        )
    return step


def _name(step: Any) -> str:
    return getattr(step, "__name__", None) or type(step).__name__
