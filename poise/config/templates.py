"""The `{{ ... }}` templates of MMEngine's configs, which are filled in before a file is parsed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poise.config.errors import ConfigKeyError, at

__all__ = [
    "fill_base",
    "fill_base_marks",
    "fill_environment",
    "fill_file_names",
    "mark_base_templates",
]

_ENVIRONMENT = re.compile(r"\{\{['\"]?\s*\$(\w+)\s*:\s*(\S*?)\s*['\"]?\}\}")
_BASE = re.compile(r"\{\{\s*_base_\.([\w.]+)\s*\}\}")
_MARK = re.compile(r"__base_value\(([\w.]+)\)__")


def fill_file_names(text: str, path: Path) -> str:
    """Replace `{{ fileDirname }}` and its siblings by parts of the config's own path."""
    values = {
        "fileDirname": str(path.parent),
        "fileBasename": path.name,
        "fileBasenameNoExtension": path.stem,
        "fileExtname": path.suffix,
    }

    def value(found: re.Match[str]) -> str:
        # a backslash of a Windows path would be an escape inside the string
        return values[found[1]].replace("\\", "/")

    return re.sub(r"\{\{\s*(%s)\s*\}\}" % "|".join(values), value, text)  # noqa: UP031


def fill_environment(text: str, file: str) -> tuple[str, dict[str, str]]:
    """Replace `{{$NAME:default}}`; returns the text and the variables that were set.

    Raises:
        ConfigKeyError: neither the variable nor a default is there.
    """
    used: dict[str, str] = {}

    def value(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        if name in os.environ:
            used[name] = os.environ[name]
        filled = os.environ.get(name, default)
        if not filled:
            line = text.count("\n", 0, found.start()) + 1
            raise ConfigKeyError(
                f"{at(file, line)}: the environment variable {name} is not set; set it, or give "
                f"a default as {{{{${name}:default}}}}"
            )
        return filled

    return _ENVIRONMENT.sub(value, text), used


def mark_base_templates(text: str, *, quote: bool) -> str:
    """Replace `{{_base_.x}}` in JSON or YAML by a mark that parses as a string.

    Args:
        quote: put quotes around marks outside strings, as JSON needs.
    """

    def mark(found: re.Match[str]) -> str:
        before = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        inside = len(re.findall(r'(?<!\\)"', before)) % 2 == 1
        token = f"__base_value({found[1]})__"
        return token if inside or not quote else f'"{token}"'

    return _BASE.sub(mark, text)


def fill_base_marks(value: Any, look_up: Callable[[str], Any]) -> Any:
    """Tree with the marks of `mark_base_templates` replaced by `look_up("x.y")`."""
    if isinstance(value, dict):
        return {key: fill_base_marks(item, look_up) for key, item in value.items()}
    if isinstance(value, list):
        return [fill_base_marks(item, look_up) for item in value]
    return fill_base(value, look_up, _MARK) if isinstance(value, str) else value


def fill_base(text: str, look_up: Callable[[str], Any], pattern: re.Pattern[str] = _BASE) -> Any:
    """Text with its `{{_base_.x}}` replaced; the value itself if it is nothing else."""
    whole = pattern.fullmatch(text)
    return look_up(whole[1]) if whole else pattern.sub(lambda m: str(look_up(m[1])), text)
