"""`Config`: a config file as an object that behaves like a dict and like attributes."""

from __future__ import annotations

import contextlib
import copy
import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from poise._files import write_whole
from poise.config.dump import to_python
from poise.config.errors import ConfigKeyError, ConfigTypeError
from poise.config.merge import merge, nest
from poise.config.reader import RESERVED_KEYS, SUFFIXES, Reader, ReadFile
from poise.config.tree import ConfigDict, plain
from poise.errors import ConfigError

__all__ = ["Config", "read_base"]

_FIELDS = ("_cfg_dict", "_filename", "_text", "_env_variables")


class Config:
    """Settings of a model, its data and its training, read from a file or made from a dict.

    Args:
        cfg_dict: settings; nested dicts become ConfigDicts.
        cfg_text: text the settings were read from.
        filename: file they were read from.
        env_variables: environment variables that templates of the file used.
        format_python_code: accepted for MMEngine's sake; dumped code is always formatted.

    Example:
        >>> cfg = Config(dict(model=dict(backbone=dict(depth=50))))
        >>> cfg.merge_from_dict({"model.backbone.depth": 101})
        >>> cfg.model.backbone.depth
        101
    """

    _cfg_dict: ConfigDict
    _filename: str | None
    _text: str
    _env_variables: dict[str, str]

    def __init__(
        self,
        cfg_dict: Mapping[Any, Any] | None = None,
        cfg_text: str | None = None,
        filename: str | Path | None = None,
        env_variables: dict[str, str] | None = None,
        format_python_code: bool = True,
    ) -> None:
        tree = {} if cfg_dict is None else cfg_dict
        if isinstance(tree, Config):
            tree = tree._cfg_dict
        if not isinstance(tree, Mapping):
            raise ConfigTypeError(f"cfg_dict must be a dict, got {type(tree).__name__}")
        for key in tree:
            if key in RESERVED_KEYS:
                raise ConfigKeyError(f"'{key}' is a reserved name; rename this setting")
        if cfg_text is None:
            cfg_text = Path(filename).read_text(encoding="utf-8-sig") if filename else ""
        self._set(
            _cfg_dict=tree if isinstance(tree, ConfigDict) else ConfigDict(tree),
            _filename=None if filename is None else str(filename),
            _text=cfg_text,
            _env_variables=env_variables or {},
        )

    def _set(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    # -- reading ------------------------------------------------------------------------------

    @staticmethod
    def fromfile(
        filename: str | Path,
        use_predefined_variables: bool = True,
        import_custom_modules: bool = True,
        use_environment_variables: bool = True,
        lazy_import: bool | None = None,
        format_python_code: bool = True,
        *,
        trusted: bool = False,
    ) -> Config:
        """Read a config file and its bases as data; nothing in them is run.

        Args:
            filename: .py, .json, .yaml or .yml file; MMPose's path of a config, such as
                `configs/body_2d_keypoint/...`, also where that file is not on this machine.
            use_predefined_variables: fill in `{{ fileDirname }}`, `{{ fileBasename }}`,
                `{{ fileBasenameNoExtension }}` and `{{ fileExtname }}`.
            import_custom_modules: accepted for MMEngine's sake; `custom_imports` are applied
                by `apply_custom_imports` when something is built.
            use_environment_variables: fill in `{{$NAME:default}}`.
            lazy_import: accepted for MMEngine's sake; both styles are always read.
            format_python_code: accepted for MMEngine's sake.
            trusted: execute the file and its bases, for files that need real code.

        Raises:
            FileMissingError: the file or a base does not exist.
            ConfigError: the file holds something that cannot be read; the text names file and
                line.
        """
        reader = Reader(
            trusted=trusted,
            predefined=use_predefined_variables,
            environment=use_environment_variables,
        )
        return _made(reader.read(Path(filename)), str(filename), reader)

    @staticmethod
    def fromstring(cfg_str: str, file_format: str, *, trusted: bool = False) -> Config:
        """Read a config from a text; `file_format` is its suffix, such as ".py".

        Relative bases are searched from the working folder.
        """
        if file_format not in SUFFIXES:
            raise ConfigError(
                f"file_format must be one of {', '.join(SUFFIXES)}, got '{file_format}'"
            )
        reader = Reader(trusted=trusted)
        return _made(reader.read_text(cfg_str, Path.cwd() / f"<string>{file_format}"), None, reader)

    # -- the settings as a dict ---------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name in _FIELDS or (name.startswith("__") and name.endswith("__")):
            # while unpickling there is no tree yet
            raise AttributeError(name)
        return getattr(self._cfg_dict, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._cfg_dict, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._cfg_dict, name)

    def __getitem__(self, key: Any) -> Any:
        return self._cfg_dict[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._cfg_dict[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._cfg_dict[key]

    def __contains__(self, key: object) -> bool:
        return key in self._cfg_dict

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cfg_dict)

    def __len__(self) -> int:
        return len(self._cfg_dict)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *dir(self._cfg_dict)]

    def __repr__(self) -> str:
        return f"Config (path: {self._filename}): {self._cfg_dict!r}"

    def to_dict(self, keep_imported: bool = False) -> dict[Any, Any]:
        """Copy made of builtin dicts, lists, tuples and scalars.

        Args:
            keep_imported: accepted for MMEngine's sake; imported names are never settings.
        """
        tree: dict[Any, Any] = plain(self._cfg_dict)
        return tree

    # -- about the file -----------------------------------------------------------------------

    @property
    def filename(self) -> str | None:
        """The file as it was named, or None."""
        return self._filename

    @property
    def text(self) -> str:
        """Texts of the bases and of the file, each after its path."""
        return self._text

    @property
    def env_variables(self) -> dict[str, str]:
        """Environment variables that templates of the file used."""
        return self._env_variables

    # -- changes ------------------------------------------------------------------------------

    def merge_from_dict(self, options: Mapping[str, Any], allow_list_keys: bool = True) -> None:
        """Lay settings over this config; keys may be paths such as `pipeline.0.type`.

        Args:
            options: path -> value.
            allow_list_keys: let numbers in a path mean elements of lists.

        Raises:
            ConfigKeyError: an index beyond the end of a list.
            ConfigTypeError: a path leads into a value that is neither dict nor list.
        """
        self._set(_cfg_dict=merge(nest(options), self._cfg_dict, list_keys=allow_list_keys))

    # -- writing ------------------------------------------------------------------------------

    @property
    def pretty_text(self) -> str:
        """The settings as Python source."""
        return to_python(self._cfg_dict)

    def dump(self, file: str | Path | None = None) -> str | None:
        """Write the settings to a .py, .json or .yaml file, which reads back equal.

        Without a file the text is returned, in the format of the file this config came from.
        """
        suffix = Path(file or self._filename or "x.py").suffix
        text = self.dumps(suffix)
        if file is None:
            return text
        write_whole(Path(file), text.encode())
        return None

    def dumps(self, suffix: str = ".py") -> str:
        """Text of the settings in the format of a suffix."""
        if suffix == ".py":
            return self.pretty_text
        if suffix == ".json":
            return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        if suffix in (".yaml", ".yml"):
            import yaml

            tree = json.loads(json.dumps(self.to_dict()))
            return str(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))
        raise ConfigError(f"a config is written as {', '.join(SUFFIXES)}, not as '{suffix}'")

    @staticmethod
    def diff(
        cfg1: str | Path | Config,
        cfg2: str | Path | Config,
        *,
        names: tuple[str, str] = ("a", "b"),
    ) -> str:
        """Unified diff of two configs as Python source; empty where they are equal.

        Args:
            cfg1, cfg2: configs or their files.
            names: how a config that comes from no file is called.
        """
        a, b = (c if isinstance(c, Config) else Config.fromfile(c) for c in (cfg1, cfg2))
        lines = difflib.unified_diff(
            a.pretty_text.splitlines(),
            b.pretty_text.splitlines(),
            a.filename or names[0],
            b.filename or names[1],
            lineterm="",
        )
        return "\n".join(lines)

    # -- copies -------------------------------------------------------------------------------

    def __copy__(self) -> Config:
        other = type(self).__new__(type(self))
        other._set(**{**self.__getstate__(), "_cfg_dict": self._cfg_dict.copy()})
        return other

    def copy(self) -> Config:
        """Shallow copy."""
        return self.__copy__()

    def __deepcopy__(self, memo: dict[int, Any]) -> Config:
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        other._set(**copy.deepcopy(self.__getstate__(), memo))
        return other

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FIELDS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._set(**state)


def _made(read: ReadFile, filename: str | None, reader: Reader) -> Config:
    return Config(read.tree, read.text, filename, reader.env_variables)


@contextlib.contextmanager
def read_base() -> Iterator[None]:
    """Marks the imports of base configs in a config file.

    The reader recognises the name and does not call it; it can be imported so that editors know
    it: `from poise.config import read_base`.
    """
    yield
