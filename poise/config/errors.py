"""Config errors that are also the builtin kinds which callers of MMEngine's reader test for."""

from __future__ import annotations

from poise.errors import ConfigError, UnknownNameError

__all__ = ["ConfigKeyError", "ConfigSyntaxError", "ConfigTypeError", "at"]


class ConfigKeyError(ConfigError, UnknownNameError):
    """A key that is missing, reserved, or defined twice among bases."""


class ConfigTypeError(ConfigError, TypeError):
    """A dict where the base config has something else, or the other way round."""


class ConfigSyntaxError(ConfigError, SyntaxError):
    """A file that is not valid Python, JSON or YAML."""

    # SyntaxError would append its own idea of a position
    __str__ = Exception.__str__


def at(file: str, line: int) -> str:
    """Start of an error text: `path.py, line 12`, or the path alone where no line is known."""
    return f"{file}, line {line}" if line else file
