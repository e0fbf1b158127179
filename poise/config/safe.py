"""What a config may call: builtins, modules and methods without effects, each in one table.

Everything that is not listed here is refused, so the tables are the whole of what the text of a
config can reach.
"""

from __future__ import annotations

import copy
import math
import os
import os.path as osp
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

from poise.config.limits import MAX_ITEMS, check_widths, check_written, checked_size, node_count
from poise.config.tree import ConfigDict, LocatedDict, places_of

__all__ = ["BUILTINS", "CONSTANTS", "MODULES", "Reference", "SafeModule", "method", "path_field"]


@dataclass(frozen=True)
class Reference:
    """A class or module that a config imports: its dotted path, nothing is loaded."""

    path: str

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Reference(f"{self.path}.{name}")


@dataclass(frozen=True)
class SafeModule:
    """The part of a module that a config may use."""

    name: str
    members: Mapping[str, Any]


# -- builtins -------------------------------------------------------------------------------------


def _range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > MAX_ITEMS:
        raise ValueError(f"range of more than {MAX_ITEMS:,} numbers")
    return numbers


def _str(value: Any = "") -> str:
    check_written(value)
    return checked_size(str(value.path if isinstance(value, Reference) else value))


def _int(value: Any = 0, base: int | None = None) -> int:
    if isinstance(value, str) and len(value) > MAX_ITEMS:
        raise ValueError("number with too many digits")
    return int(value) if base is None else int(value, base)


def _sum(values: Iterable[Any], start: Any = 0) -> Any:
    total = start
    for value in values:
        total = checked_size(total + value)
    return total


def _filled(kind: Callable[[Iterable[Any]], Any]) -> Callable[..., Any]:
    return lambda *args: checked_size(kind(*args))


BUILTINS: dict[str, Callable[..., Any]] = {
    "dict": LocatedDict,
    "list": _filled(list),
    "tuple": _filled(tuple),
    "set": _filled(set),
    "frozenset": _filled(frozenset),
    "range": _range,
    "len": len,
    "int": _int,
    "float": float,
    "str": _str,
    "bool": bool,
    "sum": _sum,
    "min": min,
    "max": max,
    "zip": lambda *args, strict=False: list(zip(*args, strict=strict)),
    "enumerate": lambda *args, **kwargs: list(enumerate(*args, **kwargs)),
    "sorted": sorted,
    "reversed": lambda items: list(reversed(items)),
    "abs": abs,
    "round": round,
    "any": any,
    "all": all,
    "divmod": divmod,
    "slice": slice,
}

# -- modules --------------------------------------------------------------------------------------


def _deepcopy(value: Any) -> Any:
    """Copy that keeps aliases inside and copies LocatedDicts with their places."""
    node_count(value)
    return copy.deepcopy(value)


def _picked(source: Any, names: str) -> dict[str, Any]:
    return {name: getattr(source, name) for name in names.split()}


_OS_PATH = SafeModule(
    "os.path",
    _picked(
        osp,
        "join dirname basename abspath expanduser expandvars normpath realpath relpath split "
        "splitext commonpath exists isfile isdir isabs sep",
    ),
)
_PATHLIB = SafeModule("pathlib", {"Path": Path, "PurePath": PurePath, "PosixPath": Path})
_MATH = SafeModule(
    "math",
    _picked(
        math,
        "pi e tau inf nan ceil floor trunc sqrt exp log log2 log10 sin cos tan atan2 radians "
        "degrees hypot fabs gcd isclose isnan isinf",
    ),
)

MODULES: dict[str, SafeModule] = {
    "os": SafeModule(
        "os",
        {
            "path": _OS_PATH,
            "environ": MappingProxyType(os.environ),
            "getenv": os.getenv,
            "getcwd": os.getcwd,
            "cpu_count": os.cpu_count,
            "sep": os.sep,
            "fspath": os.fspath,
        },
    ),
    "os.path": _OS_PATH,
    "pathlib": _PATHLIB,
    "math": _MATH,
    "copy": SafeModule("copy", {"copy": copy.copy, "deepcopy": _deepcopy}),
    "collections": SafeModule("collections", {"OrderedDict": LocatedDict}),
}

CONSTANTS: dict[str, float] = {
    f"{module}.{name}": getattr(math, name)
    for module in ("numpy", "torch")
    for name in ("pi", "e", "inf", "nan")
}
"""Numbers that configs take from modules which are not imported for reading."""

# -- methods --------------------------------------------------------------------------------------


def _str_format(template: str, *args: Any, **kwargs: Any) -> str:
    """`str.format` without attribute access, whose `{x.__class__}` would reach outside."""
    kwargs = {k: v.path if isinstance(v, Reference) else v for k, v in kwargs.items()}
    fields = 0
    for _, field, spec, _ in string.Formatter().parse(template):
        fields += field is not None
        if field and ("." in field or "__" in field):
            raise ValueError(f"format field '{{{field}}}' with an attribute is not read")
        if "{" in (spec or ""):
            raise ValueError(f"format field with a nested field '{spec}' is not read")
        check_widths(spec or "")
    check_written((args, kwargs), fields)
    return checked_size(template.format(*args, **kwargs))


def _str_replace(text: str, old: str, new: str, count: int = -1) -> str:
    if text.count(old) * len(new) > MAX_ITEMS:
        raise ValueError(f"text of more than {MAX_ITEMS:,} characters")
    return text.replace(old, new, count)


def _str_join(glue: str, parts: Iterable[str]) -> str:
    parts = list(parts)
    check_written((glue,), len(parts))
    check_written(parts)
    return checked_size(glue.join(parts))


def _list_extend(items: list[Any], more: Iterable[Any]) -> None:
    more = list(more)
    if len(items) + len(more) > MAX_ITEMS:
        raise ValueError(f"more than {MAX_ITEMS:,} items")
    items.extend(more)


def _dict_update(target: dict[Any, Any], *args: Any, **kwargs: Any) -> None:
    target.update(*args, **kwargs)
    for arg in args:
        places_of(target).update(places_of(arg))


def _fromkeys(keys: Iterable[Any], value: Any = None) -> LocatedDict:
    return LocatedDict(dict.fromkeys(keys, value))


_DICT = "get copy pop popitem items keys values setdefault clear"
_SET = "add update union intersection difference issubset issuperset discard remove copy"

METHODS: dict[type, dict[str, Callable[..., Any]]] = {
    LocatedDict: {**_picked(LocatedDict, _DICT), "update": _dict_update},
    ConfigDict: _picked(ConfigDict, f"{_DICT} update merge deepcopy to_dict"),
    dict: {**_picked(dict, _DICT), "update": _dict_update},
    list: {
        **_picked(list, "append pop insert remove index count sort reverse copy clear"),
        "extend": _list_extend,
    },
    tuple: _picked(tuple, "index count"),
    set: _picked(set, _SET),
    str: {
        **_picked(
            str,
            "split rsplit splitlines partition rpartition lower upper title capitalize swapcase "
            "strip lstrip rstrip startswith endswith removeprefix removesuffix find rfind index "
            "count isdigit isalpha isidentifier",
        ),
        "format": _str_format,
        "replace": _str_replace,
        "join": _str_join,
    },
    MappingProxyType: _picked(MappingProxyType, "get keys values items copy"),
    PurePath: {
        **_picked(
            Path,
            "joinpath with_suffix with_name with_stem as_posix relative_to is_absolute exists "
            "is_file is_dir resolve absolute expanduser match",
        ),
    },
}
PATH_FIELDS = frozenset(
    ("parent", "parents", "name", "stem", "suffix", "suffixes", "parts", "anchor", "root", "drive")
)

_ON_TYPES: dict[Any, dict[str, Callable[..., Any]]] = {
    LocatedDict: {"fromkeys": _fromkeys},
    Path: {"home": Path.home, "cwd": Path.cwd},
}


def method(owner: Any, name: str) -> Callable[..., Any] | None:
    """Method `name` of a value as a bound function, or None if a config may not call it."""
    if isinstance(owner, SafeModule):
        found = owner.members.get(name)
        return found if callable(found) else None
    if isinstance(owner, type):
        return _ON_TYPES.get(owner, {}).get(name)
    for kind, table in METHODS.items():
        if isinstance(owner, kind) and name in table:
            function = table[name]
            return lambda *args, **kwargs: function(owner, *args, **kwargs)
    return None


def path_field(owner: Any, name: str) -> bool:
    """Whether `owner.name` is a plain field of a path that a config may read."""
    return isinstance(owner, PurePath) and name in PATH_FIELDS
