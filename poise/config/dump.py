"""A tree as readable Python source that reads back equal."""

from __future__ import annotations

import keyword
import math
import re
import textwrap
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from poise.errors import ConfigError

__all__ = ["to_python"]

WIDTH = 88
_INDENT = "    "


def to_python(tree: Mapping[Any, Any]) -> str:
    """Source of a config file, one assignment for each top-level key, in their order.

    Raises:
        ConfigError: a top-level key is no Python name, or a value has no literal form.

    Example:
        >>> print(to_python({"lr": 1e-3, "model": {"type": "HRNet", "extra": {"a-b": (1,)}}}))
        lr = 0.001
        model = dict(type='HRNet', extra={'a-b': (1,)})
        <BLANKLINE>
    """
    lines = []
    for key, value in tree.items():
        if not _is_name(key):
            raise ConfigError(
                f"the top-level key {key!r} is no Python name, so the config cannot be written "
                "as Python; write it as .json or .yaml"
            )
        start = f"{key} = "
        lines.append(start + _render(value, str(key), "", len(start)))
    return "\n".join([*lines, ""])


def _is_name(key: Any) -> bool:
    return isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)


def _render(value: Any, path: str, indent: str, used: int) -> str:
    """Source of a value: on one line if that fits after `used` columns, else broken up."""
    line = _one_line(value, path)
    if len(line) + used <= WIDTH or not isinstance(value, (dict, list, tuple)) or not value:
        return line if not isinstance(value, str) else _string(line, value, indent, used)
    inner = indent + _INDENT
    opening, closing = _brackets(value)
    if isinstance(value, dict):
        rows = []
        for key, item in value.items():
            start = inner + _key(key, opening)
            rows.append(start + _render(item, f"{path}.{key}", inner, len(start) + 1))
    elif any(isinstance(item, (dict, list, tuple)) and item for item in value):
        rows = [inner + _render(item, path, inner, len(inner) + 1) for item in value]
    else:
        items = ", ".join(_one_line(item, path) for item in value)
        if any(isinstance(item, str) for item in value):
            rows = [inner + _one_line(item, path) for item in value]
        else:
            rows = textwrap.wrap(items, WIDTH - len(inner) - 1, break_on_hyphens=False)
            rows = [inner + row.rstrip(",") for row in rows]
    return f"{opening}\n" + ",\n".join(rows) + f",\n{indent}{closing}"


def _string(line: str, value: str, indent: str, used: int) -> str:
    """A long text as adjacent literals, which the parser joins."""
    if len(line) + used <= WIDTH or " " not in value or "\n" in value:
        return line
    inner = indent + _INDENT
    parts = textwrap.wrap(value, WIDTH - len(inner) - 2, drop_whitespace=False)
    if "".join(parts) != value or len(parts) < 2:
        return line
    return "(\n" + "\n".join(inner + _literal(part) for part in parts) + f"\n{indent})"


def _one_line(value: Any, path: str) -> str:
    if isinstance(value, dict):
        opening, closing = _brackets(value)
        pairs = (_key(k, opening) + _one_line(v, f"{path}.{k}") for k, v in value.items())
        return opening + ", ".join(pairs) + closing
    if isinstance(value, (list, tuple, set, frozenset)):
        return _sequence(value, path)
    if isinstance(value, str):
        return _literal(value)
    if isinstance(value, PurePath):
        return repr(str(value))
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if value is None or isinstance(value, (bool, int, float, complex, bytes, range)):
        return repr(value)
    raise ConfigError(
        f"'{path}' is a {type(value).__name__}, which has no form in a config file; "
        "replace it by its type= name"
    )


def _sequence(value: Any, path: str) -> str:
    items = ", ".join(_one_line(item, path) for item in value)
    if isinstance(value, list):
        return f"[{items}]"
    if isinstance(value, tuple):
        return f"({items},)" if len(value) == 1 else f"({items})"
    if isinstance(value, frozenset):
        return f"frozenset([{items}])"
    return f"{{{items}}}" if value else "set()"


def _literal(text: str) -> str:
    """Literal of a text; `{{` is broken up, since it would be read as a template."""
    return " + ".join(map(repr, re.split(r"(?<=\{)(?=\{)", text)))


def _brackets(value: Any) -> tuple[str, str]:
    if isinstance(value, dict):
        # dict(**kw) cannot hold keys that are no names; "self" is one, and works
        return ("dict(", ")") if all(map(_is_name, value)) else ("{", "}")
    return ("[", "]") if isinstance(value, list) else ("(", ")")


def _key(key: Any, opening: str) -> str:
    return f"{key}=" if opening == "dict(" else f"{key!r}: "
