"""Statements of a config module: assignments, loops over values, conditions, imports of names."""

# Handlers are named like the syntax nodes they take.
# ruff: noqa: N802

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from poise.config import limits, safe
from poise.config.errors import ConfigKeyError
from poise.config.evaluate import Evaluator, shortened
from poise.config.safe import Reference, SafeModule
from poise.errors import nearest

__all__ = ["ModuleReader", "is_read_base"]

LoadModule = Callable[[str, int, ast.AST], tuple[dict[str, Any], set[str]]]


class _Leave(Exception):  # noqa: N818 - control flow, not an error
    """`break` and `continue` on their way to the loop; the argument says which."""


class ModuleReader(Evaluator):
    """Runs the statements of one config file on values.

    Args:
        load_module: gives the variables of a base module named inside `with read_base():`, and
            which of them are imported names, from its dotted name, the number of leading dots,
            and the import's node.

    Attributes:
        lines: variable -> line of its last assignment.
        imported: the names that imports bind; they are no settings.
    """

    def __init__(
        self, file: str, names: dict[str, Any], steps: limits.Steps, load_module: LoadModule
    ) -> None:
        super().__init__(file, names, steps)
        self.load_module = load_module
        self.lines: dict[str, int] = {}
        self.imported: set[str] = set()

    def run(self, body: list[ast.stmt]) -> None:
        """Read statements in order."""
        for node in body:
            handler = getattr(self, f"_do_{type(node).__name__}", None)
            if handler is None:
                words = {
                    "FunctionDef": "the function definition",
                    "ClassDef": "the class definition",
                    "While": "the while loop",
                    "Try": "the try block",
                }
                what = words.get(type(node).__name__, "the statement")
                first = ast.unparse(node).split("\n", 1)[0]
                self.refuse(node, f"{what} `{first}`")
            handler(node)

    def bind(self, target: ast.expr, value: Any) -> None:
        """As Evaluator.bind; remembers the line of module variables."""
        super().bind(target, value)
        if isinstance(target, ast.Name) and len(self.scopes) == 1:
            self.lines[target.id] = target.lineno

    def _do_Assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            self._bind_at(node, target, value)

    def _bind_at(self, node: ast.stmt, target: ast.expr, value: Any) -> None:
        try:
            self.bind(target, value)
        except (TypeError, ValueError, IndexError, KeyError) as error:
            if getattr(error, "located", False):
                raise
            self.fail(node, f"`{shortened(node)}` fails: {type(error).__name__}: {error}")

    def _do_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind_at(node, node.target, self.value(node.value))

    def _do_AugAssign(self, node: ast.AugAssign) -> None:
        old = self.value(node.target)
        change = self.value(node.value)
        name = type(node.op).__name__
        try:
            if name == "Add" and isinstance(old, list):
                # like Python's +=, which changes the list that other names may share
                limits.checked_size(old)
                old.extend(self.steps.made(limits.checked_size(list(change))))
                value: Any = limits.checked_size(old)
            elif name == "BitOr" and isinstance(old, dict):
                old.update(change)
                value = old
            else:
                value = self.steps.made(limits.checked_binary(name, old, change))
        except (TypeError, ValueError, ArithmeticError) as error:
            self.fail(node, f"`{shortened(node)}` fails: {type(error).__name__}: {error}")
        self._bind_at(node, node.target, value)

    def _do_Expr(self, node: ast.Expr) -> None:
        self.value(node.value)

    def _do_Pass(self, node: ast.Pass) -> None:
        """Nothing to do."""

    def _do_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id in self.scopes[0]:
                del self.scopes[0][target.id]
            elif isinstance(target, ast.Subscript):
                self._delete_item(target, self.value(target.value), self.value(target.slice))
            elif isinstance(target, ast.Attribute):
                self._delete_item(target, self.value(target.value), target.attr)
            else:
                self.value(target)

    def _delete_item(self, node: ast.expr, owner: Any, key: Any) -> None:
        if not isinstance(owner, (dict, list)):
            self.fail(node, f"cannot delete from a {type(owner).__name__}")
        try:
            del owner[key]
        except (KeyError, IndexError, TypeError):
            keys = [k for k in owner if isinstance(k, str)] if isinstance(owner, dict) else []
            self.fail(
                node, f"nothing to delete at {key!r}{nearest(str(key), keys)}", ConfigKeyError
            )

    def _do_Assert(self, node: ast.Assert) -> None:
        if not self.value(node.test):
            text = f": {self.value(node.msg)}" if node.msg else ""
            self.fail(node, f"the config's own check `{shortened(node.test)}` fails{text}")

    # -- control ------------------------------------------------------------------------------

    def _do_If(self, node: ast.If) -> None:
        self.run(node.body if self.value(node.test) else node.orelse)

    def _do_For(self, node: ast.For) -> None:
        items = self.value(node.iter)
        try:
            rounds = self.steps.take(iter(items))
        except TypeError:
            self.fail(node, f"cannot loop over `{shortened(node.iter)}`: {type(items).__name__}")
        try:
            for item in rounds:
                self._bind_at(node, node.target, item)
                try:
                    self.run(node.body)
                except _Leave as leave:
                    if leave.args == ("break",):
                        return
        except (RuntimeError, ValueError) as error:
            if getattr(error, "located", False):
                raise
            self.fail(node, f"the loop fails: {error}")
        self.run(node.orelse)

    def _do_Break(self, node: ast.Break) -> None:
        raise _Leave("break")

    def _do_Continue(self, node: ast.Continue) -> None:
        raise _Leave("continue")

    # -- imports ------------------------------------------------------------------------------

    def _do_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name if alias.asname else alias.name.split(".")[0]
            self._import_name(alias.asname or top, safe.MODULES.get(top, Reference(top)))

    def _do_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level:
            self.fail(
                node,
                f"`{ast.unparse(node)}` is relative; configs are imported that way only inside "
                "`with read_base():`",
            )
        module = node.module or ""
        known = safe.MODULES.get(module)
        for alias in node.names:
            if alias.name == "*":
                self.fail(
                    node,
                    f"`{ast.unparse(node)}`: 'import *' takes the settings of a base config "
                    "and stands inside `with read_base():`",
                )
            full = f"{module}.{alias.name}"
            value: Any = safe.CONSTANTS.get(full, Reference(full))
            if known is not None and alias.name in known.members:
                value = known.members[alias.name]
            self._import_name(alias.asname or alias.name, value)

    def _import_name(self, name: str, value: Reference | SafeModule | Any) -> None:
        self.scopes[0][name] = value
        self.imported.add(name)

    def _do_With(self, node: ast.With) -> None:
        if not is_read_base(node):
            self.refuse(node, f"`with {ast.unparse(node.items[0])}:`")
        for line in node.body:
            if isinstance(line, ast.Pass):
                continue
            if not isinstance(line, ast.ImportFrom) or line.module is None:
                self.fail(
                    line,
                    f"`{shortened(line)}`: only `from MODULE import ...` stands inside "
                    "`with read_base():`",
                )
            self._import_base(line, line.module)

    def _import_base(self, node: ast.ImportFrom, module: str) -> None:
        found, imported = self.load_module(module, node.level, node)
        for alias in node.names:
            if alias.name == "*":
                self.scopes[0].update(found)
                self.imported |= imported
            elif alias.name in found:
                self.scopes[0][alias.asname or alias.name] = found[alias.name]
            else:
                self.fail(
                    node,
                    f"base config {'.' * node.level}{module} has no variable '{alias.name}'"
                    f"{nearest(alias.name, found)}",
                    ConfigKeyError,
                )


def is_read_base(node: ast.stmt) -> bool:
    """Whether a statement is `with read_base():`."""
    if not isinstance(node, ast.With) or len(node.items) != 1:
        return False
    call = node.items[0].context_expr
    return isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] == "read_base"
