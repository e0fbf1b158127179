"""Executing a config that the user trusts, for files that need real code.

Only reached with `trusted=True`. Bases are still found by the reader (and executed as well);
names imported from MMPose and its relatives stay references, since Poise replaces those packages.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import traceback
from typing import Any

from poise.config.evaluate import BASE_KEY
from poise.config.paths import REPLACED
from poise.config.statements import ModuleReader, is_read_base
from poise.errors import ConfigError

__all__ = ["execute"]

_TEMPLATE = "__fill_in__"


class _Templates(ast.NodeTransformer):
    """Turns `{{_base_.x}}`, bare or in a string, into a call that looks the value up."""

    def visit_Set(self, node: ast.Set) -> ast.AST:
        inner = node.elts[0]
        if len(node.elts) == 1 and isinstance(inner, ast.Set):
            return self._call(node, f"{{{{{ast.unparse(inner.elts[0])}}}}}")
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str) and "{{" in node.value and BASE_KEY in node.value:
            return self._call(node, node.value)
        return node

    def _call(self, node: ast.expr, text: str) -> ast.AST:
        call = ast.Call(ast.Name(_TEMPLATE, ast.Load()), [ast.Constant(text)], [])
        return ast.fix_missing_locations(ast.copy_location(call, node))


def execute(module: ast.Module, reader: ModuleReader) -> None:
    """Execute a module's statements in the reader's scope.

    Raises:
        ConfigError: the code raised something; with file, line and the original error as cause.
    """
    names = reader.scopes[0]

    def fill_in(text: str) -> Any:
        return reader.value(ast.Constant(text, lineno=0))

    names[_TEMPLATE] = fill_in
    for node in module.body:
        if is_read_base(node) or _imports_replaced(node):
            reader.run([node])
            continue
        _execute_one(node, reader)
    del names[_TEMPLATE]
    names.pop("__builtins__", None)


def _imports_replaced(node: ast.stmt) -> bool:
    """Whether an import takes names from a package that Poise replaces and that is not there."""
    if isinstance(node, ast.ImportFrom):
        roots = [(node.module or "").split(".")[0]]
    elif isinstance(node, ast.Import):
        roots = [alias.name.split(".")[0] for alias in node.names]
    else:
        return False
    return all(root in REPLACED and importlib.util.find_spec(root) is None for root in roots)


def _execute_one(node: ast.stmt, reader: ModuleReader) -> None:
    names = reader.scopes[0]
    known = set(names)
    filled = _Templates().visit(copy.deepcopy(node))
    code = compile(ast.Module([filled], []), reader.file, "exec")
    try:
        exec(code, names)
    except Exception as error:
        if isinstance(error, ConfigError):
            raise
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == reader.file]
        place = ast.Pass(lineno=(frames[-1].lineno if frames else node.lineno) or 0)
        try:
            reader.fail(place, f"executing the config fails: {type(error).__name__}: {error}")
        except ConfigError as located:
            raise located from error
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        reader.imported |= {a.asname or a.name.split(".")[0] for a in node.names}
    for target in ast.walk(node):
        if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store):
            reader.lines[target.id] = target.lineno
    for name in set(names) - known:
        reader.lines.setdefault(name, node.lineno)
