"""MMPose's config language, read as data.

A config file is parsed and its statements are evaluated on plain values; nothing in it is run.
The result is a tree of dicts, lists and scalars in which every key remembers its file and line.
"""

from __future__ import annotations

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "config": "Config read_base",
        "custom_imports": "apply_custom_imports",
        "errors": "ConfigKeyError ConfigSyntaxError ConfigTypeError",
        "overrides": "DictAction parse_override parse_overrides",
        "paths": "resolve",
        "sources": "add_source",
        "tree": "ConfigDict where",
    },
)
