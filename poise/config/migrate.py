"""Rewriting the imports of code written for MMPose, so that it runs on Poise.

Only import statements change, and names used through `import mmengine`; comments and formatting
elsewhere stay as they are.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field

from poise.config.errors import ConfigSyntaxError, at
from poise.config.paths import REPLACED, known_names, resolve, resolve_module
from poise.errors import nearest

__all__ = ["Migration", "Unknown", "migrate_source"]

WIDTH = 88


@dataclass(frozen=True)
class Unknown:
    """An imported name that Poise has no place for."""

    file: str
    line: int
    name: str
    hint: str

    def __str__(self) -> str:
        return f"{at(self.file, self.line)}: {self.name} has no counterpart in Poise{self.hint}"


@dataclass
class Migration:
    """What became of a file.

    Attributes:
        text: the new source.
        replaced: number of names that were given a new place.
        unknown: names that were left as they are.
    """

    text: str
    replaced: int = 0
    unknown: list[Unknown] = field(default_factory=list)


@dataclass(frozen=True)
class _Edit:
    """Replacement of a piece of the source, in bytes of its UTF-8 form."""

    start: int
    end: int
    text: str


def migrate_source(text: str, file: str = "<string>") -> Migration:
    """Source with its imports from MMPose, MMEngine and MMCV turned into Poise's.

    Names that one statement imports may go to several modules; those that Poise does not have
    stay in an import from the old module and are listed. Imports from `mmpose.configs` stay, as
    Poise's reader knows them.

    Raises:
        ConfigSyntaxError: the source is not valid Python.

    Example:
        >>> print(migrate_source("from mmengine.structures import InstanceData as I").text)
        from poise.structures import InstanceData as I
    """
    try:
        tree = ast.parse(text, file)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", 0) or 0
        reason = getattr(error, "msg", None) or error
        raise ConfigSyntaxError(f"{at(file, line)}: not valid Python: {reason}") from error
    return _Migrator(text, file, tree).run()


class _Migrator:
    def __init__(self, text: str, file: str, tree: ast.Module) -> None:
        self.source = text.encode("utf-8")
        self.file = file
        self.tree = tree
        self.result = Migration(text)
        self.comments = _comments(text)
        self.done: set[str] = set()
        lines = self.source.splitlines(keepends=True)
        self.starts = [0]
        for line in lines:
            self.starts.append(self.starts[-1] + len(line))

    def run(self) -> Migration:
        edits: list[_Edit] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                edits += self.import_from(node)
            elif isinstance(node, ast.Import):
                edits += self.plain_import(node)
        source = self.source
        for edit in sorted(edits, key=lambda e: e.start, reverse=True):
            source = source[: edit.start] + edit.text.encode("utf-8") + source[edit.end :]
        self.result.text = source.decode("utf-8")
        return self.result

    # -- from ... import ... --------------------------------------------------------------------

    def import_from(self, node: ast.ImportFrom) -> Iterator[_Edit]:
        module = node.module or ""
        if node.level or not _is_replaced(module) or module.startswith("mmpose.configs"):
            return
        groups: dict[str, list[str]] = {}
        for alias in node.names:
            target = _target(module, alias.name)
            if target is None:
                self.unknown(
                    node, f"{module}.{alias.name}", nearest(alias.name, known_names(module))
                )
                groups.setdefault(module, []).append(_as(alias.name, alias.asname))
                continue
            self.result.replaced += 1
            home, name = target
            visible = alias.asname or alias.name
            groups.setdefault(home, []).append(_as(name, None if visible == name else visible))
        if list(groups) != [module]:
            yield self.replacement(node, [_from(home, names) for home, names in groups.items()])

    # -- import ... -----------------------------------------------------------------------------

    def plain_import(self, node: ast.Import) -> Iterator[_Edit]:
        lines: list[str] = []
        changed = False
        for alias in node.names:
            if not _is_replaced(alias.name):
                lines.append(f"import {_as(alias.name, alias.asname)}")
                continue
            new, edits = self.uses(alias.asname or alias.name.split(".")[0], alias, node)
            yield from edits
            changed = changed or new != [f"import {_as(alias.name, alias.asname)}"]
            lines += new
        if changed:
            yield self.replacement(node, lines)

    def uses(self, bound: str, alias: ast.alias, node: ast.Import) -> tuple[list[str], list[_Edit]]:
        """New import lines for a module imported whole, and edits where its names are used."""
        old = f"import {_as(alias.name, alias.asname)}"
        module = resolve_module(alias.name)
        if module and alias.asname:
            self.result.replaced += 1
            for use, tail in _chains(self.tree, bound):
                if _resolved_chain(alias.name, tail) is None:
                    self.unknown_use(use, [alias.name, *tail])
            return [f"import {module} as {alias.asname}"], []
        imports: dict[str, None] = {}
        edits: list[_Edit] = []
        prefix = alias.name if alias.asname else bound
        for use, tail in _chains(self.tree, bound):
            found = _resolved_chain(prefix, tail)
            if found is None:
                self.unknown_use(use, [prefix, *tail])
                imports[old] = None
                continue
            (home, name), used = found
            self.result.replaced += 1
            imports[f"import {home}"] = None
            end = use
            for _ in range(len(tail) - used):
                end = end.value  # type: ignore[attr-defined]
            edits.append(_Edit(self.offset(end), self.end(end), f"{home}.{name}"))
        if bound in self.done:
            # another import of the same package has changed the uses already
            edits = []
        self.done.add(bound)
        if not imports:
            self.unknown(node, alias.name, "; nothing in this file uses it by its name")
        return list(imports) or [old], edits

    # -- places ---------------------------------------------------------------------------------

    def offset(self, node: ast.stmt | ast.expr) -> int:
        """First byte of a node."""
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.stmt | ast.expr) -> int:
        """Byte after a node."""
        return self.starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)

    def replacement(self, node: ast.stmt, lines: list[str]) -> _Edit:
        """Edit that puts new statements in a statement's place, with its inner comments."""
        start, end = self.offset(node), self.end(node)
        before = self.source[self.starts[node.lineno - 1] : start].decode("utf-8")
        if before.strip() or self.source[end:].lstrip(b" \t")[:1] == b";":
            return _Edit(start, end, "; ".join(lines))
        inner = [
            comment
            for line, comment in self.comments
            if node.lineno <= line < (node.end_lineno or node.lineno)
        ]
        wrapped = [_wrapped(line, len(before)) for line in dict.fromkeys(lines)]
        text = f"\n{before}".join("\n".join(wrapped).split("\n"))
        return _Edit(start, end, f"{text}  {'  '.join(inner)}" if inner else text)

    def unknown(self, node: ast.AST, name: str, hint: str) -> None:
        """List a name that stays, once for each line."""
        entry = Unknown(self.file, getattr(node, "lineno", 0), name, hint)
        if entry not in self.result.unknown:
            self.result.unknown.append(entry)

    def unknown_use(self, node: ast.AST, parts: list[str]) -> None:
        """List a use such as `mmengine.a.b` that stays."""
        hint = nearest(parts[-1], known_names(parts[0])) if len(parts) > 1 else ""
        self.unknown(node, ".".join(parts), hint)


def _is_replaced(module: str) -> bool:
    return module.split(".")[0] in REPLACED


def _target(module: str, name: str) -> tuple[str, str] | None:
    """(module, name) of an imported name in Poise."""
    found = resolve(f"{module}.{name}")
    if found:
        home, _, new = found.partition(":")
        return home, new
    package = resolve_module(f"{module}.{name}")
    if package:
        parent, _, new = package.rpartition(".")
        return parent, new
    return None


def _resolved_chain(prefix: str, tail: list[str]) -> tuple[tuple[str, str], int] | None:
    """Place of `prefix.a.b.c` and how many of a, b, c it takes."""
    for used in range(len(tail), 0, -1):
        found = resolve(".".join([prefix, *tail[:used]]))
        if found:
            home, _, name = found.partition(":")
            return (home, name), used
    return None


def _chains(tree: ast.AST, bound: str) -> list[tuple[ast.expr, list[str]]]:
    """Longest attribute chains `bound.a.b` in the code, with a and b."""
    chains: list[tuple[ast.expr, list[str]]] = []

    def visit(node: ast.AST) -> None:
        tail: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            tail.insert(0, inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and inner.id == bound and isinstance(node, ast.expr):
            chains.append((node, tail))
            return
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return chains


def _comments(text: str) -> list[tuple[int, str]]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [(t.start[0], t.string) for t in tokens if t.type == tokenize.COMMENT]


def _as(name: str, asname: str | None) -> str:
    return f"{name} as {asname}" if asname and asname != name else name


def _from(home: str, names: list[str]) -> str:
    return f"from {home} import {', '.join(names)}"


def _wrapped(line: str, indent: int) -> str:
    """An import, with one name a line in parentheses where it is too long for one line."""
    if len(line) + indent <= WIDTH or not line.startswith("from "):
        return line
    head, _, names = line.partition(" import ")
    return f"{head} import (\n" + "".join(f"    {n},\n" for n in names.split(", ")) + ")"
