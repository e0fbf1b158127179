"""Maps over the picture: heatmaps, masks and the like, at one resolution or at several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

from poise.errors import ArgumentError, DataError
from poise.structures.element import BaseDataElement, FieldError, is_array

__all__ = ["MultilevelPixelData", "PixelData"]


class PixelData(BaseDataElement):
    """Maps (C, H, W) of one height and width; a map (H, W) gets a channel axis.

    Index with a pair of ints or slices over height and width; both axes stay.

    Example:
        >>> import numpy as np
        >>> fields = PixelData(heatmaps=np.zeros((17, 64, 48)), mask=np.zeros((64, 48)))
        >>> fields.shape, fields.mask.shape, fields[:32, 3].shape
        ((64, 48), (1, 64, 48), (32, 1))
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, _checked_map(self._kind, name, value, self.shape))

    @property
    def shape(self) -> tuple[int, int] | None:
        """(H, W) of the maps, None while there are none."""
        for value in self._data.values():
            return tuple(value.shape[-2:])
        return None

    def __getitem__(self, item: Any) -> Any:
        """A field by name, or a window by (rows, columns).

        Raises:
            ArgumentError: another kind of index.
        """
        if isinstance(item, str):
            return getattr(self, item)
        if not isinstance(item, tuple) or len(item) != 2:
            raise ArgumentError(
                f"{self._kind} is indexed by a pair of ints or slices (height, width), got {item!r}"
            )
        window: list[slice] = []
        for entry in item:
            if isinstance(entry, slice):
                window.append(entry)
            elif isinstance(entry, int):
                # keeps the axis
                window.append(slice(entry, entry + 1 or None))
            else:
                raise ArgumentError(
                    f"a window has ints or slices, got {type(entry).__name__} in {item!r}"
                )
        part = type(self)(metainfo=self._meta)
        part._data.update((k, v[:, window[0], window[1]]) for k, v in self._data.items())
        return part


class MultilevelPixelData(BaseDataElement):
    """Maps at several resolutions: every field is a list of (C, H_l, W_l), one per level.

    All fields have as many levels, and at each level the same height and width. An int index
    gives the `PixelData` of that level, a slice or list of ints the levels chosen.

    Example:
        >>> import numpy as np
        >>> fields = MultilevelPixelData(heatmaps=[np.zeros((17, s, s)) for s in (16, 32)])
        >>> fields.nlevel, fields.shape, fields[0].heatmaps.shape
        (2, ((16, 16), (32, 32)), (17, 16, 16))
    """

    __slots__ = ()

    @property
    def nlevel(self) -> int | None:
        """Number of levels, None while there are no fields."""
        for value in self._data.values():
            return len(value)
        return None

    @property
    def shape(self) -> tuple[tuple[int, int], ...] | None:
        """(H, W) of each level, None while there are no fields."""
        for value in self._data.values():
            return tuple(tuple(level.shape[-2:]) for level in value)
        return None

    def levels(self) -> list[PixelData]:
        """The levels one by one."""
        return [self[index] for index in range(self.nlevel or 0)]

    def set_field(
        self,
        value: Any,
        name: str,
        dtype: type | tuple[type, ...] | None = None,
        field_type: str = "data",
    ) -> None:
        """Set one field: meta information, or a sequence of maps.

        Raises:
            ArgumentError: not a sequence of arrays.
            DataError: no level, another number of levels, or another size at a level.
            FieldError: a name of the form `_level_0`.
        """
        if name.startswith("_level_"):
            raise FieldError(f"{name} of {self._kind} is reserved for the levels themselves")
        if field_type == "data":
            value = self._checked_levels(name, value)
        super().set_field(value, name, dtype, field_type)

    def _checked_levels(self, name: str, value: Any) -> list[Any]:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ArgumentError(
                f"{name} of {self._kind} must be a sequence of arrays, one per level, got"
                f" {type(value).__name__}"
            )
        if len(value) == 0:
            raise DataError(f"{name} of {self._kind} is empty, it needs an array for each level")
        shapes = self.shape or (None,) * len(value)
        if len(value) != len(shapes):
            raise DataError(
                f"{name} has {len(value)} levels, but this {self._kind} has {len(shapes)}"
            )
        return [
            _checked_map(self._kind, f"{name}[{index}]", level, shape)
            for index, (level, shape) in enumerate(zip(value, shapes, strict=True))
        ]

    def __getitem__(self, item: Any) -> Any:
        """A field by name, a level by number, several levels by slice or list.

        Raises:
            IndexError: no such level.
        """
        if isinstance(item, str):
            return getattr(self, item)
        if isinstance(item, (slice, list)):
            chosen = range(self.nlevel or 0)[item] if isinstance(item, slice) else item
            part = type(self)(metainfo=self._meta)
            part._data.update((k, [v[i] for i in chosen]) for k, v in self._data.items())
            return part
        if not isinstance(item, int):
            raise ArgumentError(
                f"{self._kind} is indexed by a name, a level, or several; got {type(item).__name__}"
            )
        count = self.nlevel or 0
        if not -count <= item < count:
            raise IndexError(f"level {item} is out of range for {count} levels")
        level = PixelData()
        level._data.update((name, value[item]) for name, value in self._data.items())
        return level

    def _map(self, convert: Callable[[Any], Any]) -> Self:
        return super()._map(lambda levels: [convert(level) for level in levels])


def _checked_map(owner: str, name: str, value: Any, shape: tuple[int, int] | None) -> Any:
    """The map (C, H, W), or the reason why it is none."""
    if not is_array(value):
        raise ArgumentError(
            f"{name} of {owner} must be a numpy array or a tensor, got {type(value).__name__}"
        )
    if value.ndim not in (2, 3):
        raise DataError(f"{name} of {owner} must be (C, H, W) or (H, W), got {tuple(value.shape)}")
    if shape is not None and tuple(value.shape[-2:]) != shape:
        raise DataError(
            f"{name} has height and width {tuple(value.shape[-2:])}, but the other maps of this"
            f" {owner} have {shape}"
        )
    return value[None] if value.ndim == 2 else value
