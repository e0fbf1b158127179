"""From a config file and its bases to one tree.

Order, as in MMEngine: fill in templates, read the bases, evaluate the file, lay it over the bases.
"""

from __future__ import annotations

import ast
import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poise.config import sources, templates
from poise.config.errors import ConfigKeyError, ConfigSyntaxError, at
from poise.config.evaluate import BASE_KEY, Evaluator
from poise.config.limits import Steps, node_count
from poise.config.merge import add_scope, merge
from poise.config.safe import Reference, SafeModule
from poise.config.statements import ModuleReader
from poise.config.tree import ConfigDict, Place, places_of, where
from poise.errors import ConfigError, FileMissingError, nearest

__all__ = ["RESERVED_KEYS", "SUFFIXES", "WEIGHTS", "ReadFile", "Reader"]

RESERVED_KEYS = ("filename", "text", "pretty_text", "env_variables")
SUFFIXES = (".py", ".json", ".yaml", ".yml")
#: of checkpoints, which one may give in place of a config
WEIGHTS = (".pth", ".pt", ".ckpt")
#: Most letters of a line that an error text repeats.
_QUOTED = 120


@dataclass
class ReadFile:
    """What one file gave.

    Attributes:
        tree: settings, merged with those of its bases.
        names: all variables of the module, imported names too; for `from base import *`.
        imported: which of the names are imports.
        text: text of the bases, then of the file.
    """

    tree: ConfigDict
    names: dict[str, Any] = field(default_factory=dict)
    imported: set[str] = field(default_factory=set)
    text: str = ""


class Reader:
    """Reads one config with its bases.

    Args:
        trusted: execute Python files instead of reading them as data.
        predefined: fill in `{{ fileDirname }}` and its siblings.
        environment: fill in `{{$NAME:default}}`.
    """

    def __init__(
        self, *, trusted: bool = False, predefined: bool = True, environment: bool = True
    ) -> None:
        self.trusted = trusted
        self.predefined = predefined
        self.environment = environment
        self.env_variables: dict[str, str] = {}
        self.steps = Steps()
        self._open: list[Path] = []

    # -- files --------------------------------------------------------------------------------

    def read(self, path: Path, asked_by: Place | None = None) -> ReadFile:
        """Read a file; `asked_by` is the place of the `_base_` that names it.

        Raises:
            FileMissingError: no such file, and no source knows its name.
            ConfigError: anything wrong in the file or its bases.
        """
        given = path.as_posix()
        path = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - keeps symlinks' names
        asking = f"{at(*asked_by)}: " if asked_by else ""
        if path.suffix.lower() in WEIGHTS:
            raise ConfigError(
                f"{asking}'{path}' has weights, and a config is needed: give the config, and this "
                "file as its weights, or make one file of both with `poise zoo convert`"
            )
        if path.suffix.lower() not in SUFFIXES:
            raise ConfigError(
                f"{asking}'{path}' is no config: expected a file name that ends in "
                f"{', '.join(SUFFIXES)}{', or the name of a model' if asking else ''}"
            )
        if not path.is_file():
            return self._not_on_disk(path, given, asking)
        if path in self._open:
            chain = " -> ".join(map(str, [*self._open[self._open.index(path) :], path]))
            raise ConfigError(f"{asking}config files inherit from each other in a circle: {chain}")
        self._open.append(path)
        try:
            return self.read_text(self._text_of(path), path)
        finally:
            self._open.pop()

    def _not_on_disk(self, path: Path, given: str, asking: str) -> ReadFile:
        # where nobody asks for a base, only what begins as a name of the zoo is one
        asked = str(path) if asking else given if sources.is_name(given) else ""
        found = sources.from_sources(asked)
        if found:
            return ReadFile(ConfigDict(found[1]))
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        what = "base config" if asking else "config file"
        hint = nearest(path.name, siblings)
        if not asking and sources.from_sources(f"configs/{path.name}"):
            hint = f"; '{path.stem}' is a model of the zoo: poise.load_config('{path.stem}')"
        raise FileMissingError(f"{asking}{what} '{path}' does not exist{hint}")

    def _text_of(self, path: Path) -> str:
        try:
            # editors on Windows put a mark in front
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigSyntaxError(f"{path}: not a text file in UTF-8 ({error})") from error

    def read_text(self, text: str, path: Path) -> ReadFile:
        """Read the text of a file; relative bases are searched from the path's folder."""
        filled = templates.fill_file_names(text, path) if self.predefined else text
        if self.environment:
            filled, used = templates.fill_environment(filled, str(path))
            self.env_variables.update(used)
        if path.suffix.lower() == ".py":
            result = self._read_python(filled, path)
        else:
            result = self._read_data(filled, path)
        result.text = f"{result.text}{path}\n{text}"
        for key in RESERVED_KEYS:
            if key in result.tree:
                raise ConfigKeyError(
                    f"{where(result.tree, key) or path}: '{key}' is a reserved name; rename it"
                )
        return result

    # -- Python -------------------------------------------------------------------------------

    def _read_python(self, text: str, path: Path) -> ReadFile:
        file = str(path)
        try:
            module = ast.parse(text, file)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", 0) or 0
            reason = getattr(error, "msg", None) or str(error) or "nested too deeply"
            source = (getattr(error, "text", None) or "").strip()
            if len(source) > _QUOTED:
                source = f"{source[:_QUOTED]} ..."
            raise ConfigSyntaxError(
                f"{at(file, line)}: not valid Python: {reason}{f': `{source}`' if source else ''}"
            ) from error
        line_of_bases = _base_line(module, file)
        bases, base_text = ConfigDict(), ""
        if line_of_bases is not None:
            module.body.remove(line_of_bases)
            names = Evaluator(file, {}, self.steps).value(line_of_bases.value)
            bases, base_text = self._bases(names, path, line_of_bases.lineno)
        names = {"__file__": file, "__name__": "config"}
        if line_of_bases is not None:
            names[BASE_KEY] = bases
        reader = self._run(module, file, names, path)
        for name in (BASE_KEY, "__file__", "__name__"):
            names.pop(name, None)
        child = self._settings(reader, names, file)
        _warn_deprecated(child, file)
        tree = merge(child, bases) if line_of_bases is not None else child
        return ReadFile(tree, names, reader.imported, base_text)

    def _run(
        self, module: ast.Module, file: str, names: dict[str, Any], path: Path
    ) -> ModuleReader:
        def load(dotted: str, level: int, node: ast.AST) -> tuple[dict[str, Any], set[str]]:
            base = self._base_module(dotted, level, path, (file, getattr(node, "lineno", 0)))
            values = base.names or dict(base.tree)
            # a child changes what it imports; another import of the same base must not see it
            return _copied(ConfigDict(values)), base.imported

        reader = ModuleReader(file, names, self.steps, load)
        try:
            if self.trusted:
                from poise.config.trusted import execute

                execute(module, reader)
            else:
                reader.run(module.body)
        except RecursionError as error:
            raise ConfigError(f"{file}: nested too deeply") from error
        return reader

    def _settings(self, reader: ModuleReader, names: dict[str, Any], file: str) -> ConfigDict:
        tree = ConfigDict()
        for name, value in names.items():
            hidden = name.startswith("__") or name in reader.imported
            if hidden or isinstance(value, SafeModule) or callable(value):
                continue
            try:
                node_count(value)
                dict.__setitem__(tree, name, _finished(value, trusted=self.trusted))
            except (TypeError, ValueError) as error:
                line = reader.lines.get(name, 0)
                raise ConfigError(f"{at(file, line)}: '{name}' cannot be kept: {error}") from error
            if name in reader.lines:
                tree.__places__[name] = (file, reader.lines[name])
        return tree

    # -- JSON and YAML ------------------------------------------------------------------------

    def _read_data(self, text: str, path: Path) -> ReadFile:
        quote = path.suffix.lower() == ".json"
        values = _parsed(templates.mark_base_templates(text, quote=quote), path)
        bases, base_text = self._bases(values.pop(BASE_KEY, []), path, 0)
        evaluator = Evaluator(str(path), {BASE_KEY: bases}, self.steps)
        nowhere = ast.Constant(None)
        values = templates.fill_base_marks(
            values, lambda dotted: evaluator.base_value(nowhere, dotted)
        )
        child = ConfigDict(values)
        _note_file(child, str(path))
        _warn_deprecated(child, str(path))
        tree = merge(child, bases)
        return ReadFile(tree, dict(tree), set(), base_text)

    # -- bases --------------------------------------------------------------------------------

    def _bases(self, names: Any, path: Path, line: int) -> tuple[ConfigDict, str]:
        """All bases in one tree, and their texts."""
        merged, text = ConfigDict(), ""
        for name in names if isinstance(names, (list, tuple)) else [names]:
            if not isinstance(name, (str, Path)):
                raise ConfigError(f"{at(str(path), line)}: _base_ names config files, got {name!r}")
            base = self._base(str(name), path, (str(path), line))
            twice = [key for key in base.tree if key in merged]
            if twice:
                key = twice[0]
                raise ConfigKeyError(
                    f"{at(str(path), line)}: Duplicate key is not allowed among bases: '{key}' is "
                    f"set by {where(merged, key) or 'one base'} and by "
                    f"{where(base.tree, key) or 'another'}; remove it from one of them"
                )
            for key, value in base.tree.items():
                dict.__setitem__(merged, key, _copied(value))
            merged.__places__.update(base.tree.__places__)
            text += f"{base.text}\n"
        return merged, text

    def _base(self, name: str, path: Path, place: Place) -> ReadFile:
        scope, separator, inner = name.partition("::")
        if not separator:
            beside = path.parent / Path(name).expanduser()
            bare = "/" not in name and not beside.is_file()
            found = sources.from_sources(f"mmpose::{name}") if bare else None
            return ReadFile(ConfigDict(found[1])) if found else self.read(beside, place)
        file = sources.installed_file(scope, inner, path)
        found = None if file else sources.from_sources(name)
        if file:
            base = self.read(file, place)
        elif found:
            base = ReadFile(ConfigDict(found[1]))
        else:
            raise FileMissingError(
                f"{at(*place)}: base config '{name}' is neither in an installed package '{scope}' "
                "nor known to Poise's zoo; copy the file and name it by its path"
            )
        base.tree = _copied(base.tree)
        add_scope(base.tree, scope)
        return base

    def _base_module(self, dotted: str, level: int, path: Path, place: Place) -> ReadFile:
        if level:
            folder = path.parents[level - 1]
            return self.read(folder.joinpath(*dotted.split(".")).with_suffix(".py"), place)
        file = sources.module_file(dotted, path)
        if file:
            return self.read(file, place)
        found = sources.from_sources(dotted)
        if found:
            return ReadFile(ConfigDict(found[1]))
        raise FileMissingError(
            f"{at(*place)}: base config module '{dotted}' is neither beside this file, nor in an "
            "installed package, nor known to Poise's zoo"
        )


def _base_line(module: ast.Module, file: str) -> ast.Assign | None:
    """The statement `_base_ = ...`.

    Raises:
        ConfigError: `_base_` gets a value in another form or place, where MMEngine passes over it.
    """
    targets = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.Name) and node.id == BASE_KEY and isinstance(node.ctx, ast.Store)
    ]
    lines = [n for n in module.body if isinstance(n, ast.Assign) and n.targets == targets[:1]]
    if targets[len(lines) :]:
        raise ConfigError(
            f"{at(file, targets[-1].lineno)}: `_base_` gets a value here that would not be read; "
            "it stands once in a file, as `_base_ = [...]` outside of any block"
        )
    return lines[0] if lines else None


def _copied(value: Any) -> Any:
    """Copy of a finished tree that shares no dict or list with it; keeps places."""
    if isinstance(value, dict):
        copied = ConfigDict()
        for key, item in value.items():
            dict.__setitem__(copied, key, _copied(item))
        copied.__places__.update(places_of(value))
        return copied
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    return value


def _finished(value: Any, *, trusted: bool) -> Any:
    """Value as it stands in the tree: ConfigDicts, references as dotted paths, no aliases."""
    if isinstance(value, dict):
        tree = ConfigDict()
        for key, item in value.items():
            dict.__setitem__(tree, key, _finished(item, trusted=trusted))
        tree.__places__.update(places_of(value))
        return tree
    if isinstance(value, (list, tuple)):
        items = (_finished(item, trusted=trusted) for item in value)
        if hasattr(value, "_fields"):
            return type(value)(*items)
        return tuple(items) if isinstance(value, tuple) else list(items)
    if isinstance(value, Reference):
        return value.path
    if isinstance(value, (SafeModule, Iterator)) or (callable(value) and not trusted):
        raise TypeError(f"a {type(value).__name__} is no setting")
    if isinstance(value, (type({}.keys()), type({}.values()), type({}.items()))):
        return list(value)
    return value


def _parsed(text: str, path: Path) -> dict[Any, Any]:
    load = _json if path.suffix.lower() == ".json" else _yaml
    values = load(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: a config is a mapping of settings, got a {type(values).__name__}"
        )
    return values


def _json(text: str, file: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigSyntaxError(
            f"{at(file, error.lineno)}: not valid JSON: {error.msg} (column {error.colno})"
        ) from error


def _yaml(text: str, file: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error)
        line = mark.line + 1 if mark else 0
        raise ConfigSyntaxError(f"{at(file, line)}: not valid YAML: {reason}") from error


def _note_file(tree: Any, file: str) -> None:
    if isinstance(tree, ConfigDict):
        tree.__places__.update(dict.fromkeys(tree, (file, 0)))
    for item in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        _note_file(item, file)


def _warn_deprecated(tree: ConfigDict, file: str) -> None:
    place, notice = where(tree, "_deprecation_"), tree.pop("_deprecation_")
    if notice is None:
        return
    if not isinstance(notice, dict):
        raise ConfigError(
            f"{place}: `_deprecation_` is a dict(expected=FILE, reference=ADDRESS), got {notice!r}"
        )
    expected, reference = notice.get("expected"), notice.get("reference")
    warnings.warn(
        f"config {file} is deprecated"
        + (f"; use {expected} instead" if expected else "")
        + (f" (see {reference})" if reference else ""),
        DeprecationWarning,
        stacklevel=2,
    )
