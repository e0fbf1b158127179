"""How a child config is laid over its base, and overrides over a config.

The rules are MMEngine's, so that a file gives the same tree: dicts merge key by key, everything
else replaces, `_delete_=True` replaces a dict as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from poise.config.errors import ConfigKeyError, ConfigTypeError
from poise.config.tree import ConfigDict, places_of, set_place, where

__all__ = ["DELETE_KEY", "add_scope", "merge", "nest"]

DELETE_KEY = "_delete_"
SCOPE_KEY = "_scope_"


def merge(child: Mapping[Any, Any], base: ConfigDict, *, list_keys: bool = True) -> ConfigDict:
    """Base with the child's settings laid over it; neither argument changes.

    Where the base has a list, the child may hold a dict whose keys are indices:
    `pipeline={"0": dict(type="A")}` changes the first element only.

    Raises:
        ConfigTypeError: a dict meets a base value that is neither dict nor list.
        ConfigKeyError: an index beyond the list's end.
    """
    merged = base.copy()
    for key in child:
        merged[key] = _merged_value(child, key, merged, list_keys)
        if key in places_of(child):
            set_place(merged, key, places_of(child)[key])
    return merged


def _merged_value(child: Mapping[Any, Any], key: Any, base: ConfigDict, list_keys: bool) -> Any:
    value = child[key]
    if not isinstance(value, dict) or key not in base:
        return value
    if DELETE_KEY in value:
        replace = value[DELETE_KEY]
        value = ConfigDict(value)
        value.pop(DELETE_KEY)
        if replace:
            return value
    old = base[key]
    if isinstance(old, dict):
        old = old if isinstance(old, ConfigDict) else ConfigDict(old)
        return merge(value, old, list_keys=list_keys)
    if list_keys and isinstance(old, list) and value and all(map(_is_index, value)):
        return _merged_list(value, old, key)
    place, origin = where(child, key), where(base, key)
    raise ConfigTypeError(
        f"{place + ': ' if place else ''}'{key}' is a dict, but the base config has a "
        f"{type(old).__name__} there{' (' + origin + ')' if origin else ''}, so the two cannot "
        f"be merged. Set {DELETE_KEY}=True in the dict to replace the base's value."
    )


def _is_index(key: Any) -> bool:
    return isinstance(key, str) and key.isdigit()


def _merged_list(changes: Mapping[str, Any], old: list[Any], name: Any) -> list[Any]:
    items = list(old)
    for key, value in changes.items():
        index = int(key)
        if index >= len(items):
            place = where(changes, key)
            raise ConfigKeyError(
                f"{place + ': ' if place else ''}index {index} is beyond the end of "
                f"'{name}', a list of {len(items)}"
            )
        slot = ConfigDict({index: items[index]})
        items[index] = _merged_value({index: value}, index, slot, list_keys=True)
    return items


def nest(options: Mapping[str, Any]) -> ConfigDict:
    """`{"a.b.0.c": 1}` as the tree `{a: {b: {"0": {c: 1}}}}` that `merge` takes.

    Raises:
        ConfigTypeError: one key needs a dict where another one gives a value.
    """
    tree = ConfigDict()
    for full_key, value in options.items():
        node = tree
        *parents, last = str(full_key).split(".")
        for name in parents:
            node = node.setdefault(name, ConfigDict())
            if not isinstance(node, ConfigDict):
                raise ConfigTypeError(
                    f"override '{full_key}' goes into '{name}', which another override sets "
                    f"to {node!r}"
                )
        node[last] = value
    return tree


def add_scope(tree: Any, scope: str, inside: bool = False) -> None:
    """Mark the outermost dicts with a `type` as names of `scope` (bases like `mmdet::...`)."""
    if isinstance(tree, dict):
        if not inside and "type" in tree:
            inside = True
            if tree.get(SCOPE_KEY) is None:
                tree[SCOPE_KEY] = scope
        for value in tree.values():
            add_scope(value, scope, inside)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            add_scope(value, scope, inside)
