"""Importing the user modules that a config names in `custom_imports`."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poise.config.paths import REPLACED
from poise.errors import ConfigError, MissingDependencyError

__all__ = ["allow_imports", "allowed_imports", "apply_custom_imports"]

#: starts of modules whose classes Poise has: packages, and MMPose's projects
_OURS = tuple(f"{name}." for name in (*REPLACED, "rtmpose3d", "projects.uniformer"))
#: how MMPose's projects/yolox_pose and projects/pose_anything name their own modules, which other
#: projects may have too
_OF_YOLOX_POSE, _OF_POSE_ANYTHING = {"models", "datasets"}, {"models"}

_allowed: set[str] = set()


def allow_imports(*packages: str) -> None:
    """Let configs name classes of these packages by dotted path, as `custom_imports` does."""
    _allowed.update(package.split(".", 1)[0] for package in packages)


def allowed_imports() -> frozenset[str]:
    """Top-level packages that configs may name by dotted path."""
    return frozenset(_allowed)


def apply_custom_imports(cfg: Any) -> list[str]:
    """Import what `cfg.custom_imports` names: its classes are registered, and may be named by path.

    The reader only records the setting: importing runs code, so it happens when something is
    built. Modules are searched on `sys.path`, then in the working folder and the config's
    folder, which are appended to `sys.path`. Modules of MMPose and its relatives are passed over:
    Poise has their classes, and its names resolve without an import.

    Args:
        cfg: Config or dict; `custom_imports=dict(imports=[...], allow_failed_imports=False)`.

    Returns:
        Names of the modules that are imported now.

    Raises:
        MissingDependencyError: a module cannot be imported (unless failed imports are allowed).
    """
    setting = cfg.get("custom_imports")
    if not setting:
        return []
    if not isinstance(setting, Mapping) or "imports" not in setting:
        raise ConfigError(
            "custom_imports is a dict with the key 'imports', such as "
            f"dict(imports=['my_package.models']), got {setting!r}"
        )
    names = setting["imports"]
    names = [names] if isinstance(names, str) else list(names or ())
    filename = getattr(cfg, "filename", None)
    _extend_path([Path.cwd(), *([Path(filename).resolve().parent] if filename else [])])
    may_fail = bool(setting.get("allow_failed_imports", False))
    if cfg.get("default_scope") == "mmyolo" and set(names) == _OF_YOLOX_POSE:
        return []
    network = (cfg.get("model") or {}).get("type")
    if network == "PoseAnythingModel" and set(names) == _OF_POSE_ANYTHING:
        return []
    own = (name for name in names if not f"{name}.".startswith(_OURS))
    return [name for name in own if _import(name, may_fail)]


def _extend_path(folders: list[Path]) -> None:
    for folder in map(str, folders):
        if folder not in sys.path:
            sys.path.append(folder)


def _import(name: str, may_fail: bool) -> bool:
    try:
        importlib.import_module(name)
    except ImportError as error:
        missing = (getattr(error, "name", None) or "").split(".")[0]
        hint = "put the folder that contains it on PYTHONPATH, or start in that folder"
        if missing in REPLACED:
            hint = f"it imports {missing}; `poise migrate FILE.py` rewrites such imports to Poise's"
        text = f"custom_imports names '{name}', which cannot be imported ({error}); {hint}"
        if not may_fail:
            raise MissingDependencyError(text) from error
        warnings.warn(text, UserWarning, stacklevel=3)
        return False
    allow_imports(name)
    return True
