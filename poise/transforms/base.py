"""What a transform is, and how it explains a missing key of `results`."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from poise.errors import DataError, nearest
from poise.transforms.results import GIVEN_BY

__all__ = ["BaseTransform", "MissingKeyError"]


class MissingKeyError(DataError, KeyError):
    """A transform needs a key of `results` that no earlier transform has put there."""

    # KeyError shows the repr of its argument, which would print line breaks as "\n"
    __str__ = Exception.__str__


class BaseTransform(ABC):
    """One step of a data pipeline: takes `results`, returns it changed.

    Subclass it, register the class in `TRANSFORMS` and override `transform`. `results` has the
    keys of `poise.transforms.results.Results`. Returning None drops the sample: the dataset
    then draws another one.

    A documented key that is missing surfaces as `MissingKeyError` (a `KeyError` and a
    `ValueError`) that names the transform which usually provides it.
    """

    def __call__(self, results: dict[str, Any]) -> Any:
        """Run `transform`; see there."""
        try:
            return self.transform(results)
        except KeyError as error:
            key = error.args[0] if error.args else None
            # other KeyErrors (a user's own table, an unknown name) are not ours to explain
            if isinstance(error, DataError) or key not in GIVEN_BY or key in results:
                raise
            raise MissingKeyError(_missing_text(type(self).__name__, key, results)) from error

    # not abstract: most steps do not care
    def follow(self, earlier: Sequence[Any]) -> None:  # noqa: B027
        """Hear from the pipeline which steps come before this one.

        Args:
            earlier: they, first to last.
        """

    @abstractmethod
    def transform(self, results: dict[str, Any]) -> Any:
        """Change `results` and return it, or None to drop the sample."""

    def __repr__(self) -> str:
        """The class with those of its arguments that it keeps under their names."""
        names = inspect.signature(type(self)).parameters
        kept = (f"{name}={getattr(self, name)!r}" for name in names if hasattr(self, name))
        return f"{type(self).__name__}({', '.join(kept)})"


def _missing_text(transform: str, key: str, results: dict[str, Any]) -> str:
    keys = [str(k) for k in results]
    return (
        f"{transform} needs results['{key}'], which is not there. "
        f"'{key}' usually comes from {GIVEN_BY[key]}; is that step missing, or after "
        f"{transform}? Keys present: {', '.join(sorted(keys)) or 'none'}"
        f"{nearest(key, keys)}"
    )
