"""Registry: one kind of named thing (models, codecs, transforms ...), built from config dicts."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from poise.config.custom_imports import allowed_imports
from poise.config.paths import resolve as resolve_path
from poise.config.tree import beside
from poise.errors import ArgumentError, ConfigError, PoiseError, UnknownNameError, nearest
from poise.registry.old_names import OLD_NAMES
from poise.registry.resolve import import_path, import_target
from poise.registry.scope import PROJECT_PACKAGES, SCOPES, canonical, search_order, use_scope

__all__ = ["Registry", "argument_fault"]

#: Kinds for which a bare name may also be a class of a torch namespace.
_TORCH_FALLBACK = {"optimizers": "torch.optim", "models": "torch.nn"}


class Registry:
    """Named objects of one kind.

    A name's key is (scope, name): MMPose, MMDetection and MMPretrain use 41 names for
    different classes, so scopes never merge. Known names come from a lazy table; user classes
    are added with `register_module`.

    Args:
        kind: what is registered, also the table's module name ("models").
        build_func, parent, scope, locations: as in MMEngine, for user code that makes a
            registry of its own. `scope` is where its classes go; `parent` is asked for names
            that this registry does not have.

    Example:
        >>> from poise.registry import MODELS
        >>> @MODELS.register_module()
        ... class MyBackbone:
        ...     def __init__(self, depth=1):
        ...         self.depth = depth
        >>> MODELS.build(dict(type="MyBackbone", depth=3)).depth
        3
    """

    def __init__(
        self,
        kind: str,
        build_func: Callable[..., Any] | None = None,
        parent: Registry | None = None,
        scope: str | None = None,
        locations: Sequence[str] = (),
    ) -> None:
        self.kind = self.name = kind
        self.parent = parent
        self.scope = canonical(scope or "mmpose")
        self._build_func = build_func
        self._locations = list(locations)
        self._added: dict[tuple[str, str], Any] = {}

    def __repr__(self) -> str:
        """Kind and number of names."""
        return f"Registry({self.kind!r}, {len(self)} names)"

    def __len__(self) -> int:
        return len(set(self._table) | set(self._added))

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    @functools.cached_property
    def _table(self) -> dict[tuple[str, str], str]:
        """(scope, name) -> "module:object"."""
        module = f"poise.registry.tables.{self.kind}"
        if self.parent is not None or importlib.util.find_spec(module) is None:
            return {}
        rows: dict[tuple[str, str], str] = {}
        table: Mapping[str, Mapping[str, str]] = importlib.import_module(module).TABLE
        for scope, modules in table.items():
            for path, names in modules.items():
                for entry in names.split():
                    # "Name=object" where the registered name is not the object's
                    name, _, obj = entry.partition("=")
                    rows[scope, name] = f"{path}:{obj or name}"
        return rows

    def names(self, scope: str | None = None) -> list[str]:
        """Registered names, of one scope or with their scopes in front.

        Args:
            scope: a library ("mmpose"), or None for all as "scope.Name".
        """
        keys = sorted(set(self._table) | set(self._added))
        if scope is not None:
            return [n for s, n in keys if s == canonical(scope)]
        return [f"{s}.{n}" for s, n in keys]

    @property
    def module_dict(self) -> Mapping[str, Any]:
        """Objects by their bare names, of this scope; each loads when it is asked for."""
        return _Names(self)

    # ------------------------------------------------------------------ look up

    def get(self, name: str, *, scope: str | None = None) -> Any | None:
        """Object of a name, or None.

        Args:
            name: `Name`, `scope.Name`, `scope::Name` or a dotted path of MMPose, of
                torch, or of a package that `custom_imports` listed.
            scope: where a bare name is looked for first; else `current_scope()`.
        """
        self._load_locations()
        prefix, _, bare = name.replace("::", ".").rpartition(".")
        if not prefix:
            return self._find_bare(name, scope)
        if canonical(prefix) in SCOPES or prefix == self.scope:
            return self._lookup(canonical(prefix), bare)
        target = resolve_path(f"{prefix}.{bare}")
        if target is not None:
            found = import_target(target)
            # of functions only those that are registered: a config must not call any it likes
            return found if inspect.isclass(found) or found is self._find_bare(bare, None) else None
        top = canonical(prefix.split(".", 1)[0])
        if top in SCOPES and top != "torch":
            return self._lookup(top, bare)
        if prefix in PROJECT_PACKAGES and prefix not in allowed_imports():
            found = self._lookup(PROJECT_PACKAGES[prefix], bare)
            if found is not None:
                return found
        return import_path(f"{prefix}.{bare}")

    def _find_bare(self, name: str, scope: str | None) -> Any | None:
        for s in search_order(scope):
            found = self._lookup(s, name)
            if found is not None:
                return found
        own = self._lookup(self.scope, name)
        if own is not None:
            return own
        return self.parent.get(name) if self.parent is not None else None

    def _lookup(self, scope: str, name: str) -> Any | None:
        key = (scope, name)
        if key in self._added:
            return self._added[key]
        if key in self._table:
            return import_target(self._table[key])
        if scope == "torch" and self.kind in _TORCH_FALLBACK:
            value = getattr(importlib.import_module(_TORCH_FALLBACK[self.kind]), name, None)
            return value if inspect.isclass(value) else None
        return None

    def _load_locations(self) -> None:
        """Import the modules that a user's registry says its classes live in."""
        while self._locations:
            importlib.import_module(self._locations.pop())

    # ----------------------------------------------------------------- register

    def register_module(
        self,
        name: str | Sequence[str] | None = None,
        force: bool = False,
        module: Any = None,
        *,
        scope: str | None = None,
    ) -> Any:
        """Add a class or function; a decorator, or a call with `module=`.

        Args:
            name: other name or names than the object's own.
            force: replace what has this name already.
            module: the object, where this is not used as a decorator.
            scope: library the name belongs to; "mmpose" unless said, as in MMPose.

        Raises:
            ArgumentError: `name` is not text, or `force` not a bool (a forgotten call).
            ConfigError: the name is taken by another object.
        """
        if not isinstance(force, bool):
            raise ArgumentError(f"force must be True or False, got {force!r}")
        if name is not None and not isinstance(name, (str, list, tuple)):
            raise ArgumentError(
                f"register_module takes a name or a list of names, got {name!r}. "
                "As a decorator it is called: @MODELS.register_module()"
            )
        names = [name] if isinstance(name, str) else name

        def add(obj: Any) -> Any:
            for n in names or [obj.__name__]:
                self._add(canonical(scope or self.scope), n, obj, force)
            return obj

        return add if module is None else add(module)

    def _add(self, scope: str, name: str, obj: Any, force: bool) -> None:
        known = self._added.get((scope, name))
        identity = f"{obj.__module__}:{obj.__qualname__}"
        taken = self._table.get((scope, name))
        if known is not None:
            taken = f"{known.__module__}:{known.__qualname__}"
        # the same definition again: our own table, a reloaded module, a notebook cell
        if taken is not None and taken != identity and not self._same_row(taken, obj) and not force:
            raise DuplicateNameError(
                f"'{name}' is already registered in {self.kind} ({taken.replace(':', '.')}). "
                f"Choose another name, or pass force=True to replace it"
            )
        self._added[scope, name] = obj

    def _same_row(self, taken: str, obj: Any) -> bool:
        """Whether a table row means this object (a class made by a factory lacks its name)."""
        return taken.partition(":")[0] == obj.__module__ and obj.__module__.startswith("poise.")

    # -------------------------------------------------------------------- build

    def build(
        self, cfg: Any, default_args: Mapping[str, Any] | None = None, **defaults: Any
    ) -> Any:
        """Object of a config dict; anything else than a dict is returned as it is.

        Args:
            cfg: dict or `Config` with `type` (a name or a class) and constructor arguments.
            default_args, **defaults: arguments for what `cfg` does not give.

        Raises:
            UnknownNameError: no such name; the text gives the nearest and the config line.
            ArgumentError: an argument that the constructor does not take, or a missing one.
            ConfigError: no `type` in the dict.
        """
        if isinstance(cfg, (list, tuple)) and self.kind == "models":
            return import_target("poise.layers:Sequential")(*(self.build(c) for c in cfg))
        if not isinstance(cfg, Mapping):
            if cfg is None or isinstance(cfg, (str, int, float, list, tuple)):
                raise ArgumentError(
                    f"{self.kind} are built from a dict with 'type' or given as an object, "
                    f"got {cfg!r}"
                )
            # not at import time: whoever has a Config has its module
            from poise.config import Config

            if not isinstance(cfg, Config):
                return cfg
            cfg = cfg._cfg_dict
        if self._build_func is not None:
            return self._build_func(cfg, registry=self, **defaults)
        args = {**(default_args or {}), **defaults, **cfg}
        return self._construct(cfg, args)

    def _construct(self, cfg: Mapping[str, Any], args: dict[str, Any]) -> Any:
        if "type" not in args:
            raise ConfigError(
                f"a dict for {self.kind} needs 'type', got only {sorted(map(str, args))}"
                f"{beside(cfg)}"
            )
        kind_or_name = args.pop("type")
        with use_scope(args.pop("_scope_", None)):
            factory = self._factory(kind_or_name, beside(cfg, "type"))
            try:
                return factory(**args)
            except TypeError as error:
                fault = argument_fault(factory, args, cfg)
                if fault is not None:
                    raise ArgumentError(fault) from error
                _note(error, factory, cfg)
                raise
            except Exception as error:
                _note(error, factory, cfg)
                raise

    def _factory(self, kind_or_name: Any, place: str) -> Callable[..., Any]:
        if callable(kind_or_name):
            return kind_or_name
        if not isinstance(kind_or_name, str):
            raise ArgumentError(f"'type' must be a name or a class, got {kind_or_name!r}{place}")
        found = self.get(kind_or_name)
        if found is None:
            raise self.unknown(kind_or_name, place)
        return found

    def _torch_names(self) -> set[str]:
        """Classes of torch that a bare name may mean."""
        if self.kind not in _TORCH_FALLBACK:
            return set()
        return {
            n for n in dir(importlib.import_module(_TORCH_FALLBACK[self.kind])) if n[0].isupper()
        }

    def unknown(self, name: str, place: str = "") -> UnknownNameError:
        """The error for a name that this registry lacks."""
        known = {n for _, n in (*self._table, *self._added)} | self._torch_names()
        bare = name.replace("::", ".").rpartition(".")[2]
        elsewhere = [f"{s}.{n}" for s, n in (*self._table, *self._added) if n == bare and n != name]
        if bare in OLD_NAMES:
            return UnknownNameError(
                f"'{name}' is a name of MMPose 0.x{place}: '{OLD_NAMES[bare]}' in 1.x. Configs of "
                "0.x are not read, their weights are: take the config of 1.x for the same model "
                "(`poise zoo search WORDS`) and the old checkpoint"
            )
        variable = _VARIABLES.get(self.kind, self.kind.upper())
        hint = f"; it exists as '{elsewhere[0]}'." if elsewhere else nearest(bare, known - {bare})
        return UnknownNameError(
            f"'{name}' is not registered in {self.kind}{place}{hint or '.'} A class of your own "
            f"needs the decorator @{variable}.register_module() and its module an import "
            f"(custom_imports in the config)"
        )


class _Names(Mapping[str, Any]):
    """A registry as a mapping, as MMEngine's users know its `module_dict`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._names = registry.names(registry.scope)

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return self._registry.get(f"{self._registry.scope}.{name}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class DuplicateNameError(PoiseError, KeyError):
    """A name registered twice for different objects."""

    __str__ = Exception.__str__


#: Names under which user code knows the registries, where they differ from the kind.
_VARIABLES = {
    "codecs": "KEYPOINT_CODECS",
    "samplers": "DATA_SAMPLERS",
    "vis_backends": "VISBACKENDS",
    "evaluators": "EVALUATORS",
}


def _note(error: BaseException, factory: Any, cfg: Mapping[str, Any]) -> None:
    """Say which object of the config was being built."""
    error.add_note(f"while building {getattr(factory, '__name__', factory)}{beside(cfg, 'type')}")


def argument_fault(
    factory: Callable[..., Any], args: Mapping[str, Any], cfg: Mapping[str, Any]
) -> str | None:
    """What is wrong with the arguments of a constructor, found without calling it.

    Args:
        factory: class or function.
        args: its arguments.
        cfg: the dict they are from, which knows its lines.

    Returns:
        A text that names an argument that is not taken, or those that are lacking; None where
        all is well, or where the constructor does not say what it takes.

    Example:
        >>> argument_fault(lambda depth, width=1: None, {"dept": 3}, {})
        "<lambda> does not take the argument 'dept'; did you mean 'depth'? It takes: depth, width"
    """
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(**args)
    except TypeError:
        pass
    else:
        return None
    name = getattr(factory, "__name__", str(factory))
    takes = [
        p.name
        for p in signature.parameters.values()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    extra = [k for k in args if k not in takes]
    required = [
        p.name
        for p in signature.parameters.values()
        if p.default is p.empty and p.name in takes and p.name not in args
    ]
    if extra:
        key = extra[0]
        hint = nearest(key, set(takes) - set(args)) or "."
        text = f"{name} does not take the argument '{key}'{beside(cfg, key)}{hint}"
    else:
        lacking = ", ".join(map(repr, required))
        plural = "s" if len(required) > 1 else ""
        text = f"{name} needs the argument{plural} {lacking}{beside(cfg, 'type')}."
    return f"{text} It takes: {', '.join(takes) or 'none'}"
