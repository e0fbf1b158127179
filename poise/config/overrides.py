"""Overrides from the command line, `model.backbone.depth=50`, with the values MMEngine gives."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterable
from typing import Any

from poise.errors import ConfigError

__all__ = ["DictAction", "parse_override", "parse_overrides", "parse_value"]

_CLOSING = {"(": ")", "[": "]", "{": "}"}


def parse_override(text: str) -> tuple[str, Any]:
    """Key and value of one `KEY=VALUE`.

    Numbers, True/False in any case and None are recognised; commas make a list, brackets a list
    or tuple, braces a dict; anything else is a string, quotes around it are dropped.

    Raises:
        ConfigError: no `=`, an empty key, or brackets that do not match.

    Example:
        >>> parse_override("train_pipeline.0.scale=(0.5, 1)")
        ('train_pipeline.0.scale', (0.5, 1))
        >>> parse_override("gpus=0,1")
        ('gpus', [0, 1])
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key or not all(key.split(".")):
        raise ConfigError(
            f"override '{text}' is not KEY=VALUE; write it like model.backbone.depth=50 or "
            "train_dataloader.dataset.pipeline.0.type=LoadImage"
        )
    try:
        return key, parse_value(value)
    except ValueError as error:
        raise ConfigError(f"override '{text}': {error}") from error


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Several overrides as the dict that `Config.merge_from_dict` takes; later ones win."""
    return dict(map(parse_override, texts))


class DictAction(argparse.Action):
    """argparse action for `--cfg-options KEY=VALUE ...`, as scripts written for MMPose use it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add the overrides to the option's dict."""
        known = getattr(namespace, self.dest, None) or {}
        setattr(namespace, self.dest, {**known, **parse_overrides(values)})


def parse_value(text: str) -> Any:
    """Value of the right-hand side of an override; ValueError where brackets do not match."""
    text = text.strip().strip("'\"").strip()
    _check_brackets(text)
    if text.startswith("{") and text.endswith("}"):
        return _dict(text)
    if text.startswith("(") and _closes_at_end(text):
        return tuple(map(parse_value, _split(text[1:-1])))
    if text.startswith("[") and _closes_at_end(text):
        return [parse_value(part) for part in _split(text[1:-1])]
    parts = _split(text)
    if len(parts) > 1 or text.endswith(","):
        return [parse_value(part) for part in parts]
    return _scalar(text)


def _scalar(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return None if text == "None" else text


def _dict(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise ValueError(f"'{text}' is not a dict of literals") from error


def _check_brackets(text: str) -> None:
    open_ones: list[str] = []
    for char in text:
        if char in _CLOSING:
            open_ones.append(_CLOSING[char])
        elif char in _CLOSING.values() and (not open_ones or open_ones.pop() != char):
            raise ValueError(f"'{char}' closes nothing in '{text}'")
    if open_ones:
        raise ValueError(f"'{open_ones[-1]}' is missing in '{text}'")


def _closes_at_end(text: str) -> bool:
    """Whether the bracket that opens the text is closed by its last character."""
    depth = 0
    for position, char in enumerate(text):
        depth += (char in _CLOSING) - (char in _CLOSING.values())
        if depth == 0:
            return position == len(text) - 1
    return False


def _split(text: str) -> list[str]:
    """Parts between the commas outside brackets; a comma at the end starts no part."""
    parts, depth = [""], 0
    for char in text:
        depth += (char in _CLOSING) - (char in _CLOSING.values())
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts if parts[-1].strip() else parts[:-1]
