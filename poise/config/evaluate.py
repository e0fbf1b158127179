"""Expressions of a config, evaluated on their syntax tree.

Only literals, operators and the calls of `safe` are known; anything else is an error with file
and line. Nothing is compiled, imported or executed.
"""

# Handlers are named like the syntax nodes they take, and `fail` never returns.
# ruff: noqa: N802, RET503

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from poise.config import limits, safe, templates
from poise.config.errors import ConfigKeyError, at
from poise.config.safe import Reference, SafeModule
from poise.config.tree import ConfigDict, LocatedDict, places_of
from poise.errors import ConfigError, nearest

__all__ = ["Evaluator"]

BASE_KEY = "_base_"

_UNARY: dict[type, Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}
_CONVERT: dict[str, Callable[[Any], str]] = {"s": str, "r": repr, "a": ascii}
_COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
# methods that compare the items of their owner
_COMPARING = frozenset(("sort", "index", "count", "remove"))
_WORDS: dict[str, str] = {
    "Lambda": "a lambda",
    "Await": "await",
    "Yield": "yield",
    "NamedExpr": "an assignment inside an expression (:=)",
}


class Evaluator:
    """Evaluates expressions of one file in a scope of variables.

    Args:
        file: name of the file in error texts.
        names: the variables of the module; comprehensions put scopes of their own on top.
        steps: loop steps left, shared with the base files.
    """

    def __init__(self, file: str, names: dict[str, Any], steps: limits.Steps) -> None:
        self.file = file
        self.scopes: list[dict[str, Any]] = [names]
        self.steps = steps

    # -- errors -------------------------------------------------------------------------------

    def fail(self, node: ast.AST, text: str, kind: type[ConfigError] = ConfigError) -> NoReturn:
        """Raise a config error at a node."""
        error = kind(f"{at(self.file, getattr(node, 'lineno', 0))}: {text}")
        error.located = True  # type: ignore[attr-defined]
        raise error

    def refuse(self, node: ast.AST, what: str) -> NoReturn:
        """Raise the error for something that only executing the file could give."""
        self.fail(
            node,
            f"{what} is not read from a config, because Poise reads configs without running "
            "them. If you trust this file, pass trusted=True (command line: --trust-config) to "
            "execute it.",
        )

    def value(self, node: ast.expr) -> Any:
        """Value of an expression.

        Raises:
            ConfigError: with file, line and the text of the innermost expression that fails.
        """
        name = type(node).__name__
        handler = getattr(self, f"_{name}", None)
        if handler is None:
            self.refuse(node, f"{_WORDS.get(name, name)} (`{ast.unparse(node)}`)")
        try:
            return handler(node)
        except Exception as error:
            if getattr(error, "located", False):
                raise
            kind = ConfigKeyError if isinstance(error, KeyError) else ConfigError
            mine = isinstance(error, ConfigError)
            reason = str(error) if mine else f"{type(error).__name__}: {error}"
            try:
                self.fail(node, f"`{shortened(node)}` fails: {reason}", kind)
            except ConfigError as located:
                raise located from error

    def _bounded(self, value: Any) -> Any:
        """The value itself, unless walking through it (to compare, hash, copy) takes too long.

        A list that holds another one twice, forty times over, is small in memory only.
        """
        if isinstance(value, (list, tuple, dict, set)):
            self.steps.spend(limits.node_count(value) // 20)
        return value

    # -- names and literals -------------------------------------------------------------------

    def _Name(self, node: ast.Name) -> Any:
        for scope in reversed(self.scopes):
            if node.id in scope:
                return scope[node.id]
        if node.id in safe.BUILTINS:
            return safe.BUILTINS[node.id]
        if node.id == BASE_KEY:
            self.fail(node, "_base_ is used, but this file names no base config")
        known = [name for scope in self.scopes for name in scope]
        self.fail(
            node,
            f"unknown variable '{node.id}'{nearest(node.id, known)}; a config knows its own "
            "variables, and those of its bases as _base_.NAME",
            ConfigKeyError,
        )

    def _Constant(self, node: ast.Constant) -> Any:
        value = node.value
        if value is Ellipsis:
            self.refuse(node, "'...'")
        if isinstance(value, str):
            return templates.fill_base(value, lambda path: self.base_value(node, path))
        return value

    def base_value(self, node: ast.AST, path: str) -> Any:
        """Value of `x.y` in the merged bases; list indices are numbers in the path."""
        value = self._Name(ast.Name(BASE_KEY, ast.Load(), lineno=getattr(node, "lineno", 0)))
        for part in path.split("."):
            try:
                value = value[int(part)] if isinstance(value, (list, tuple)) else value[part]
            except (KeyError, IndexError, ValueError, TypeError) as error:
                keys = value if isinstance(value, dict) else ()
                self.fail(
                    node,
                    f"{{{{_base_.{path}}}}} asks for '{part}', which the base config does not "
                    f"have there{nearest(part, map(str, keys))} ({type(error).__name__})",
                    ConfigKeyError,
                )
        return value

    def _List(self, node: ast.List) -> list[Any]:
        return self._items(node.elts)

    def _Tuple(self, node: ast.Tuple) -> tuple[Any, ...]:
        return tuple(self._items(node.elts))

    def _Set(self, node: ast.Set) -> Any:
        inner = node.elts[0]
        if len(node.elts) == 1 and isinstance(inner, ast.Set) and len(inner.elts) == 1:
            # the template {{_base_.x.y}} happens to be valid Python: a set of a set
            chain = ast.unparse(inner.elts[0])
            if chain.startswith(f"{BASE_KEY}."):
                return self.base_value(node, chain[len(BASE_KEY) + 1 :])
        return set(self._bounded(self._items(node.elts)))

    def _items(self, nodes: list[ast.expr]) -> list[Any]:
        items: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                items.extend(self._unpacked(node.value))
            else:
                items.append(self.value(node))
        return items

    def _unpacked(self, node: ast.expr) -> list[Any]:
        return limits.checked_size(list(self.steps.take(self.value(node))))

    def _Dict(self, node: ast.Dict) -> LocatedDict:
        result = LocatedDict()
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                self._merge_in(result, value)
            else:
                self._put(result, self.value(key), value, key.lineno)
        return result

    def _merge_in(self, result: LocatedDict, node: ast.expr) -> None:
        other = self.value(node)
        if not isinstance(other, dict):
            self.fail(node, f"`**{shortened(node)}` needs a dict, got {type(other).__name__}")
        result.update(other)
        result.__places__.update(places_of(other))

    def _put(self, result: LocatedDict, key: Any, node: ast.expr, line: int) -> None:
        result[self._bounded(key)] = self.value(node)
        result.__places__[key] = (self.file, line)

    def _JoinedStr(self, node: ast.JoinedStr) -> str:
        parts = [str(self.value(part)) for part in node.values]
        limits.check_written(parts)
        return self.steps.made("".join(parts))

    def _FormattedValue(self, node: ast.FormattedValue) -> str:
        value = self.value(node.value)
        if isinstance(value, Reference):
            value = value.path
        limits.check_written(value)
        spec = self.value(node.format_spec) if node.format_spec else ""
        if node.conversion != -1:
            value = _CONVERT[chr(node.conversion)](value)
        return self.steps.made(limits.checked_format(value, spec))

    # -- operators ----------------------------------------------------------------------------

    def _BinOp(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        return self.steps.made(limits.checked_binary(type(node.op).__name__, left, right))

    def _UnaryOp(self, node: ast.UnaryOp) -> Any:
        return _UNARY[type(node.op)](self.value(node.operand))

    def _BoolOp(self, node: ast.BoolOp) -> Any:
        wanted = isinstance(node.op, ast.Or)
        value: Any = None
        for part in node.values:
            value = self.value(part)
            if bool(value) == wanted:
                break
        return value

    def _Compare(self, node: ast.Compare) -> bool:
        left = self.value(node.left)
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node)
            limits.node_count((left, right))
            if not _COMPARE[type(op)](left, right):
                return False
            left = right
        return True

    def _IfExp(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self.value(node.test) else node.orelse)

    # -- access -------------------------------------------------------------------------------

    def _Attribute(self, node: ast.Attribute) -> Any:
        owner = self.value(node.value)
        if isinstance(owner, Reference):
            full = f"{owner.path}.{node.attr}"
            return safe.CONSTANTS.get(full, Reference(full))
        if isinstance(owner, SafeModule):
            if node.attr not in owner.members:
                self.refuse(node, f"`{ast.unparse(node)}`")
            return owner.members[node.attr]
        if isinstance(owner, ConfigDict):
            return owner[node.attr]
        if safe.path_field(owner, node.attr):
            return getattr(owner, node.attr)
        hint = ""
        if isinstance(owner, dict):
            hint = f"; a dict written in a config is read as x['{node.attr}']"
        self.fail(node, f"a {type(owner).__name__} has no attribute '{node.attr}'{hint}")

    def _Subscript(self, node: ast.Subscript) -> Any:
        owner, key = self.value(node.value), self._bounded(self.value(node.slice))
        try:
            return self.steps.made(owner[key]) if isinstance(key, slice) else owner[key]
        except KeyError:
            keys = [k for k in owner if isinstance(k, str)] if hasattr(owner, "keys") else []
            self.fail(
                node,
                f"`{shortened(node)}`: no key {key!r}{nearest(str(key), keys)}",
                ConfigKeyError,
            )

    def _Slice(self, node: ast.Slice) -> slice:
        ends = (node.lower, node.upper, node.step)
        return slice(*(None if end is None else self.value(end) for end in ends))

    # -- calls --------------------------------------------------------------------------------

    def _Call(self, node: ast.Call) -> Any:
        function = self._function(node)
        if function is LocatedDict:
            return self._dict_call(node)
        args = self._items(node.args)
        kwargs: dict[str, Any] = self._dict_call(ast.Call(node.func, [], node.keywords))
        return self.steps.made(function(*self._bounded(args), **self._bounded(kwargs)))

    def _function(self, node: ast.Call) -> Callable[..., Any]:
        function: Any = None
        if isinstance(node.func, ast.Attribute):
            owner = self.value(node.func.value)
            if node.func.attr in _COMPARING:
                self._bounded(owner)
            function = safe.method(owner, node.func.attr)
        elif isinstance(node.func, ast.Name):
            known = any(node.func.id in scope for scope in self.scopes)
            function = self.value(node.func) if known else safe.BUILTINS.get(node.func.id)
        if not callable(function):
            self.refuse(node, f"the call `{shortened(node)}`")
        return function

    def _dict_call(self, node: ast.Call) -> LocatedDict:
        result = LocatedDict(*self._items(node.args))
        for keyword in node.keywords:
            if keyword.arg is None:
                self._merge_in(result, keyword.value)
            else:
                self._put(result, keyword.arg, keyword.value, keyword.lineno)
        return result

    # -- comprehensions -----------------------------------------------------------------------

    def _rounds(self, generators: list[ast.comprehension]) -> Iterator[None]:
        """Bind the loop variables of a comprehension, once for each of its rounds."""
        if not generators:
            yield None
            return
        first, *rest = generators
        for item in self.steps.take(self.value(first.iter)):
            self.bind(first.target, item)
            if all(self.value(test) for test in first.ifs):
                yield from self._rounds(rest)

    def _ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> list[Any]:
        self.scopes.append({})
        try:
            return [self.value(node.elt) for _ in self._rounds(node.generators)]
        finally:
            self.scopes.pop()

    _GeneratorExp = _ListComp

    def _SetComp(self, node: ast.SetComp) -> set[Any]:
        return set(self._ListComp(node))

    def _DictComp(self, node: ast.DictComp) -> LocatedDict:
        self.scopes.append({})
        result = LocatedDict()
        try:
            for _ in self._rounds(node.generators):
                self._put(result, self.value(node.key), node.value, node.key.lineno)
        finally:
            self.scopes.pop()
        return result

    # -- assignment to targets ----------------------------------------------------------------

    def bind(self, target: ast.expr, value: Any) -> None:
        """Give a value to a name, a tuple of targets, an item or an attribute."""
        if isinstance(target, ast.Name):
            self.scopes[-1][target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._bind_many(target, value)
        elif isinstance(target, ast.Subscript):
            self._set_item(target, self.value(target.value), self.value(target.slice), value)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value)
            if not isinstance(owner, ConfigDict):
                self.refuse(target, f"setting the attribute `{ast.unparse(target)}`")
            self._set_item(target, owner, target.attr, value)
        else:
            self.refuse(target, f"assigning to `{ast.unparse(target)}`")

    def _set_item(self, node: ast.expr, owner: Any, key: Any, value: Any) -> None:
        if not isinstance(owner, (dict, list)):
            self.fail(node, f"a {type(owner).__name__} does not take item assignment")
        if isinstance(owner, ConfigDict):
            # it copies the dicts and lists that are put into it
            self._bounded(value)
        owner[self._bounded(key)] = value
        if isinstance(owner, (LocatedDict, ConfigDict)):
            owner.__places__[key] = (self.file, node.lineno)

    def _bind_many(self, target: ast.Tuple | ast.List, value: Any) -> None:
        values = list(self.steps.take(value))
        targets = target.elts
        stars = [i for i, t in enumerate(targets) if isinstance(t, ast.Starred)]
        if stars:
            first, after = stars[0], len(targets) - stars[0] - 1
            end = len(values) - after
            if end >= first:
                values = [*values[:first], values[first:end], *values[end:]]
        if len(values) != len(targets):
            self.fail(target, f"{len(values)} values cannot be given to {len(targets)} names")
        for one, item in zip(targets, values, strict=True):
            self.bind(one.value if isinstance(one, ast.Starred) else one, item)


def shortened(node: ast.AST, limit: int = 80) -> str:
    """Source text of a node, cut to a readable length."""
    text = ast.unparse(node)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
