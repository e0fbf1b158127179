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
from pathlib import Path

from poise.config.errors import ConfigSyntaxError, at
from poise.config.paths import REPLACED, known_names, resolve, resolve_module
from poise.config.unsupported import advice
from poise.errors import nearest

__all__ = ["Migration", "Unknown", "migrate_source"]

WIDTH = 88

#: Begins the comment at an import that stays; Python's traceback shows it when the import fails.
MARK = "# not in Poise"


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
    stay in an import from the old module, with a comment that says what to use instead, and are
    listed. Imports from `mmpose.configs` stay, as Poise's reader knows them.

    A file in a copy of MMPose (a folder `mmpose` is in its path) may import relatively what is
    MMPose's own; where such a module is not beside it, it becomes Poise's, too.

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
        folders = Path(file).parts[:-1]
        copies = [i for i, name in enumerate(folders) if name == "mmpose"]
        self.package = folders[copies[-1] :] if copies else ()
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
        module = self.replaced_module(node)
        if module is None:
            return
        # as it is written, where a name stays
        here = "." * node.level + (node.module or "")
        groups: dict[str, list[str]] = {}
        hints: list[str] = []
        for alias in node.names:
            target = _target(module, alias.name)
            if target is None:
                hints.append(self.unknown(node, f"{module}.{alias.name}"))
                groups.setdefault(here, []).append(_as(alias.name, alias.asname))
                continue
            self.result.replaced += 1
            home, name = target
            visible = alias.asname or alias.name
            groups.setdefault(home, []).append(_as(name, None if visible == name else visible))
        lines = {_from(home, names): "" for home, names in groups.items()}
        if hints:
            lines[_from(here, groups[here])] = _comment(hints)
        if list(groups) != [here] or not self.marked(node):
            yield self.replacement(node, lines)

    def replaced_module(self, node: ast.ImportFrom) -> str | None:
        """Full name of a module whose names Poise may have; None for others."""
        module = node.module or ""
        if node.level:
            package = self.package[: max(0, len(self.package) - node.level + 1)]
            folder = Path(self.file).parent.joinpath(*[".."] * (node.level - 1))
            names = [module.replace(".", "/")] if module else [".", *(a.name for a in node.names)]
            own = [folder / f"{n}.py" for n in names] + [folder / n / "__init__.py" for n in names]
            if not package or any(file.is_file() for file in own):
                return None
            module = ".".join([*package, *filter(None, [module])])
        return None if not _is_replaced(module) or module.startswith("mmpose.configs") else module

    # -- import ... -----------------------------------------------------------------------------

    def plain_import(self, node: ast.Import) -> Iterator[_Edit]:
        lines: dict[str, str] = {}
        for alias in node.names:
            if _is_replaced(alias.name):
                new, edits = self.uses(alias.asname or alias.name.split(".")[0], alias, node)
                lines |= new
                yield from edits
            else:
                lines[_import(alias)] = ""
        if lines != dict.fromkeys(map(_import, node.names), "") and not self.marked(node):
            yield self.replacement(node, lines)

    def uses(
        self, bound: str, alias: ast.alias, node: ast.Import
    ) -> tuple[dict[str, str], list[_Edit]]:
        """New lines with their comments for a module imported whole, and edits of its uses."""
        module = resolve_module(alias.name)
        if module and alias.asname:
            self.result.replaced += 1
            for use, tail in _chains(self.tree, bound):
                if _resolved_chain(alias.name, tail) is None:
                    self.unknown(use, ".".join([alias.name, *tail]))
            return {f"import {module} as {alias.asname}": ""}, []
        imports: dict[str, str] = {}
        edits: list[_Edit] = []
        hints: list[str] = []
        prefix = alias.name if alias.asname else bound
        for use, tail in _chains(self.tree, bound):
            found = _resolved_chain(prefix, tail)
            if found is None:
                hints.append(self.unknown(use, ".".join([prefix, *tail])))
                continue
            (home, name), used = found
            self.result.replaced += 1
            imports[f"import {home}"] = ""
            end = use
            for _ in range(len(tail) - used):
                end = end.value  # type: ignore[attr-defined]
            edits.append(_Edit(self.offset(end), self.end(end), f"{home}.{name}"))
        # another import of the same package may have changed the uses already
        edits = [] if bound in self.done else edits
        self.done.add(bound)
        if hints:
            imports[_import(alias)] = _comment(hints)
        # where nothing uses the name, the import registers classes or asks what is installed
        return imports or {"import poise": ""}, edits

    # -- places ---------------------------------------------------------------------------------

    def offset(self, node: ast.stmt | ast.expr) -> int:
        """First byte of a node."""
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.stmt | ast.expr) -> int:
        """Byte after a node."""
        return self.starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)

    def rest(self, node: ast.stmt) -> str:
        """What follows a statement on its last line."""
        return self.source[self.end(node) :].split(b"\n", 1)[0].decode("utf-8")

    def marked(self, node: ast.stmt) -> bool:
        """Whether a statement has the comment that tells what Poise lacks."""
        lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
        return any(n in lines and text.startswith(MARK) for n, text in self.comments)

    def replacement(self, node: ast.stmt, lines: dict[str, str]) -> _Edit:
        """Edit that puts new statements in a statement's place, with their and its comments."""
        start, end = self.offset(node), self.end(node)
        before = self.source[self.starts[node.lineno - 1] : start].decode("utf-8")
        if before.strip() or self.rest(node).lstrip().startswith(";"):
            return _Edit(start, end, "; ".join(lines))
        inner = [
            comment
            for line, comment in self.comments
            if node.lineno <= line < (node.end_lineno or node.lineno)
        ]
        wrapped = [_wrapped(line, comment, len(before)) for line, comment in lines.items()]
        text = f"\n{before}".join("\n".join(wrapped).split("\n"))
        return _Edit(start, end, f"{text}  {'  '.join(inner)}" if inner else text)

    def unknown(self, node: ast.AST, name: str) -> str:
        """List a name that stays, once for each line; its hint."""
        module, _, bare = name.rpartition(".")
        hint = advice(name) or nearest(bare, known_names(module))
        entry = Unknown(self.file, getattr(node, "lineno", 0), name, hint)
        if entry not in self.result.unknown:
            self.result.unknown.append(entry)
        return hint


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


def _import(alias: ast.alias) -> str:
    return f"import {_as(alias.name, alias.asname)}"


def _from(home: str, names: list[str]) -> str:
    return f"from {home} import {', '.join(names)}"


def _comment(hints: list[str]) -> str:
    return f"  {MARK}{''.join(dict.fromkeys(hints))}"


def _wrapped(line: str, comment: str, indent: int) -> str:
    """An import, with one name a line in parentheses where it is too long for one line."""
    if len(line) + indent <= WIDTH or not line.startswith("from "):
        return line + comment
    head, _, names = line.partition(" import ")
    rows = "".join(f"    {name},\n" for name in names.split(", "))
    return f"{head} import ({comment}\n{rows})"
