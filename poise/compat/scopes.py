"""The default scope as MMEngine's scripts ask for it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from poise.registry import current_scope, init_default_scope, use_scope

__all__ = ["DefaultScope"]


class DefaultScope:
    """Whose names a bare `type` means; see `poise.registry.use_scope`.

    Example:
        >>> DefaultScope.get_current_instance().scope_name
        'mmpose'
    """

    def __init__(self, name: str = "poise", scope_name: str | None = None) -> None:
        self.name = name
        self.scope_name = scope_name or current_scope()

    @classmethod
    def get_current_instance(cls) -> DefaultScope:
        """The scope of now; there always is one."""
        return cls()

    @classmethod
    def get_instance(cls, name: str, scope_name: str | None = None, **kwargs: Any) -> DefaultScope:
        """Make `scope_name` the scope from here on in this thread."""
        if scope_name is not None:
            init_default_scope(scope_name)
        return cls(name)

    @staticmethod
    def check_instance_created(name: str) -> bool:
        """Whether `get_current_instance` gives one: always."""
        return True

    @staticmethod
    def overwrite_default_scope(scope_name: str | None) -> AbstractContextManager[str]:
        """Another scope inside a `with` block."""
        return use_scope(scope_name)
