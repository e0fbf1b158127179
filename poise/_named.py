"""Objects that code anywhere finds again by their name, as MMEngine's managers do."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from poise.errors import ArgumentError

__all__ = ["Named"]

_N = TypeVar("_N", bound="Named")


class Named:
    """Base of classes whose objects have names; each class keeps its own.

    A subclass's constructor takes `name`.

    Example:
        >>> class Board(Named): pass
        >>> Board.get_instance("a") is Board.get_instance("a") is Board.get_current_instance()
        True
    """

    _instances: ClassVar[dict[type, dict[str, Any]]] = {}
    #: whether `get_current_instance` makes an object where there is none
    _always_there: ClassVar[bool] = False

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def get_instance(cls: type[_N], name: str, **kwargs: Any) -> _N:
        """The object of this name, made of `kwargs` the first time; it becomes the current one."""
        found = cls._instances.get(cls, {}).get(name)
        if found is None:
            found = cls(name=name, **kwargs)
        return found.be_current(name)

    @classmethod
    def get_current_instance(cls: type[_N]) -> _N:
        """The object that was made or asked for last.

        Raises:
            ArgumentError: there is none yet.
        """
        known = cls._instances.get(cls)
        if known:
            current: _N = next(reversed(known.values()))
            return current
        if cls._always_there:
            return cls.get_instance("poise")
        raise ArgumentError(
            f"there is no {cls.__name__} yet: call {cls.__name__}.get_instance(name, ...) first"
        )

    @classmethod
    def check_instance_created(cls, name: str) -> bool:
        """Whether there is an object of this name."""
        return name in cls._instances.get(cls, {})

    def be_current(self: _N, name: str) -> _N:
        """Keep this object under a name, as the current one of its class."""
        known = self._instances.setdefault(type(self), {})
        known.pop(name, None)
        known[name] = self
        return self
