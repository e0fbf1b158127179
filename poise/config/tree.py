"""The tree that a config file gives: dicts that know where each of their keys was written.

Scalars and lists stay plain Python values; only dicts carry places, so that an error about
`model.backbone.depth` can name the file and the line.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, TypeAlias

from poise.config.errors import ConfigKeyError, at
from poise.errors import nearest

__all__ = ["ConfigDict", "LocatedDict", "Place", "beside", "plain", "where"]

Place: TypeAlias = tuple[str, int]
"""File and line; line 0 where the format has none (JSON, YAML)."""

_MISSING = object()


class LocatedDict(dict[Any, Any]):
    """A plain dict, as a config file writes it, whose keys remember their places.

    Its `update` is a dict's own: replaces values, does not merge them.
    """

    __slots__ = ("__places__",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.__places__: dict[Any, Place] = {}
        for arg in args:
            self.__places__.update(places_of(arg))

    def copy(self) -> LocatedDict:
        """Shallow copy; a dict's own `copy` would forget the places."""
        return LocatedDict(self)

    __copy__ = copy


class ConfigDict(dict[Any, Any]):
    """A dict with attribute access that names its nearest keys when one is missing.

    Dicts put into it become ConfigDicts. As in MMEngine, `update` merges nested dicts and `pop`
    of a missing key gives the default.

    Example:
        >>> cfg = ConfigDict(model=dict(backbone=dict(depth=50)))
        >>> cfg.model.backbone.depth
        50
        >>> cfg.update(model=dict(neck=None))
        >>> cfg.model
        {'backbone': {'depth': 50}, 'neck': None}
    """

    __slots__ = ("__places__",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        object.__setattr__(self, "__places__", {})
        for arg in args:
            if arg:
                self._fill(arg)
        for key, value in kwargs.items():
            self[key] = value

    def _fill(self, pairs: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> None:
        for key, value in pairs.items() if isinstance(pairs, Mapping) else pairs:
            self[key] = value
        self.__places__.update(places_of(pairs))

    # -- attributes ---------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        try:
            return dict.__getitem__(self, name)
        except KeyError:
            raise AttributeError(self._no_key(name)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            raise AttributeError(
                f"'{name}' is a method of ConfigDict and cannot be set as an attribute; "
                f"write cfg['{name}'] = ... instead"
            )
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(self._no_key(name)) from None

    def _no_key(self, name: Any) -> str:
        place = where(self)
        keys = ", ".join(map(str, self)) or "none"
        return (
            f"config has no key '{name}'{nearest(str(name), map(str, self))}"
            f" (keys here: {keys}{'; ' + place if place else ''})"
        )

    # -- items --------------------------------------------------------------------------------

    def __missing__(self, key: Any) -> Any:
        raise ConfigKeyError(self._no_key(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        dict.__setitem__(self, key, _adopt(value))

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Value of `key`, which is set to `default` if it is missing."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Any, default: Any = None) -> Any:
        """Remove `key` and return its value; the default, and no error, where it is missing."""
        return dict.pop(self, key, default)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set keys; where both sides have a dict, merge it instead of replacing it."""
        if len(args) > 1:
            raise TypeError(f"update expected at most 1 positional argument, got {len(args)}")
        places = places_of(args[0]) if args else {}
        for key, value in {**dict(*args), **kwargs}.items():
            mine = dict.get(self, key)
            if isinstance(mine, dict) and isinstance(value, dict):
                mine.update(value)
            else:
                self[key] = value
        self.__places__.update(places)

    def merge(self, other: Mapping[Any, Any]) -> None:
        """Merge `other` into this tree; a dict with `_delete_=True` replaces the old one."""
        merged = _overlaid(other, self)
        self.clear()
        self._fill(merged)

    def to_dict(self) -> dict[Any, Any]:
        """Copy made of builtin containers only."""
        return plain(self)

    # -- copies -------------------------------------------------------------------------------

    def __copy__(self) -> ConfigDict:
        other = ConfigDict()
        dict.update(other, self)
        other.__places__.update(self.__places__)
        return other

    def copy(self) -> ConfigDict:
        """Shallow copy."""
        return self.__copy__()

    def deepcopy(self) -> ConfigDict:
        """Copy that shares no container with this one."""
        return copy.deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> ConfigDict:
        other = ConfigDict()
        memo[id(self)] = other
        for key, value in self.items():
            dict.__setitem__(other, copy.deepcopy(key, memo), copy.deepcopy(value, memo))
        other.__places__.update(self.__places__)
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        return ConfigDict, (), dict(self.__places__), None, iter(list(self.items()))

    def __setstate__(self, places: dict[Any, Place]) -> None:
        self.__places__.update(places)

    def __or__(self, other: Any) -> ConfigDict:
        if not isinstance(other, Mapping):
            return NotImplemented
        union = self.deepcopy()
        union.update(other)
        return union

    def __ror__(self, other: Any) -> ConfigDict:
        return ConfigDict(other) | self if isinstance(other, Mapping) else NotImplemented

    def __ior__(self, other: Any) -> ConfigDict:
        self.update(other)
        return self

    def __dir__(self) -> Iterator[str]:
        yield from super().__dir__()
        yield from (k for k in self if isinstance(k, str) and k.isidentifier())


def _adopt(value: Any) -> Any:
    """Value with every plain dict in it turned into a ConfigDict; ConfigDicts stay themselves."""
    if isinstance(value, dict):
        return value if isinstance(value, ConfigDict) else ConfigDict(value)
    if type(value) in (list, tuple):
        return type(value)(map(_adopt, value))
    return value


def _overlaid(new: Any, old: Any) -> Any:
    if not isinstance(new, Mapping):
        return new
    if not isinstance(old, Mapping) or new.get("_delete_", False):
        old = {}
    keys = [key for key in dict.fromkeys([*old, *new]) if key != "_delete_"]
    return {key: _overlaid(new[key], old.get(key)) if key in new else old[key] for key in keys}


def places_of(container: Any) -> dict[Any, Place]:
    """Key -> place of a dict that knows them, else empty."""
    known = isinstance(container, (LocatedDict, ConfigDict))
    return container.__places__ if known else {}


def set_place(container: Any, key: Any, place: Place) -> None:
    """Remember where `key` of a dict was written; nothing for other containers."""
    if isinstance(container, (LocatedDict, ConfigDict)):
        container.__places__[key] = place


def where(container: Any, key: Any = _MISSING) -> str:
    """Place of a key, or of the container's first key, such as "path.py, line 12"; else "".

    Why: an error about a setting should say which line of which file to change.
    """
    places = places_of(container)
    if key is not _MISSING and key in places:
        return at(*places[key])
    known = (places[k] for k in ("type", *container) if k in places) if places else iter(())
    place = next(known, None)
    return at(*place) if place else ""


def beside(container: Any, key: Any = _MISSING) -> str:
    """`where` in brackets, as it stands beside a word of an error text: " (path.py, line 12)"."""
    place = where(container, key)
    return f" ({place})" if place else ""


def plain(value: Any) -> Any:
    """Copy of a tree made of builtin dicts, lists, tuples and scalars; paths become strings."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if type(value) is tuple:
        return tuple(plain(item) for item in value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, type) and value.__module__ != "__main__":
        return f"{value.__module__}.{value.__qualname__}"
    return value
