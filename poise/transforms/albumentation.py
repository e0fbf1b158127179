"""Operators of albumentations in a pose pipeline; the usual ones need no albumentations."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from poise._lazy import needed
from poise.errors import ArgumentError, ConfigError, nearest
from poise.registry import TRANSFORMS
from poise.transforms.base import BaseTransform, MissingKeyError
from poise.transforms.pixel_ops import NATIVE_OPERATORS
from poise.transforms.randomness import avoid_cache_randomness

__all__ = ["Albumentation"]

_PACKAGE = "albumentations"


@TRANSFORMS.register_module()
@avoid_cache_randomness
class Albumentation(BaseTransform):
    """Change pixels with operators named as in albumentations.

    Blur, MedianBlur, CoarseDropout, GridDropout and OneOf of these are built in, with the
    meaning they have before albumentations 1.4; any other operator is taken from the installed
    albumentations, with that version's meaning and random generator. Only operators that move
    nothing are right here: keypoints stay where they are.

    Args:
        transforms: configs, `dict(type="Blur", p=0.1)`.
        keymap: key of `results` -> albumentations' target; `{"img": "image"}` unless given.
            With other targets than "image" albumentations runs the whole list.

    Raises:
        ConfigError: a config without `type`.
        MissingDependencyError: albumentations is needed and not installed.
    """

    def __init__(
        self, transforms: list[dict[str, Any]], keymap: dict[str, str] | None = None
    ) -> None:
        self.transforms = transforms
        self.keymap_to_albu = dict(keymap or {"img": "image"})
        self._operators: list[Callable[..., np.ndarray]] = []
        self.aug: Callable[..., dict[str, Any]] | None = None
        if set(self.keymap_to_albu.values()) == {"image"}:
            self._operators = [_operator(cfg) for cfg in transforms]
        else:
            library = _albumentations("targets other than 'image'")
            self.aug = library.Compose([_foreign(cfg, library) for cfg in transforms])

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `img` (H, W, 3), or the keys of `keymap`."""
        for key in self.keymap_to_albu:
            if key not in results:
                raise MissingKeyError(
                    f"Albumentation needs results['{key}'] (its keymap names it), but there are "
                    f"only {', '.join(sorted(results))}"
                )
        if self.aug is None:
            for key in self.keymap_to_albu:
                results[key] = self._run(results[key])
            return results
        changed = self.aug(**{albu: results[key] for key, albu in self.keymap_to_albu.items()})
        for key, albu in self.keymap_to_albu.items():
            results[key] = changed[albu]
        return results

    def _run(self, image: np.ndarray) -> np.ndarray:
        # albumentations' Compose draws whether to run at all (p=1); same stream of numbers
        random.random()
        for operator in self._operators:
            image = operator(image)
        return image


def _name(cfg: Any) -> str:
    """Operator name of a config: `Blur` for "Blur" and "albumentations.augmentations.Blur"."""
    if not isinstance(cfg, dict) or "type" not in cfg:
        raise ConfigError(f"an operator of Albumentation is a dict with 'type', got {cfg!r}")
    kind = cfg["type"]
    if isinstance(kind, str):
        top, _, rest = kind.partition(".")
        return rest.rpartition(".")[2] if top == _PACKAGE and rest else kind
    if isinstance(kind, type):
        return kind.__name__
    raise ArgumentError(f"'type' of an operator is a name or a class, got {type(kind).__name__}")


def _arguments(cfg: dict[str, Any], build: Callable[[Any], Any]) -> dict[str, Any]:
    args = {k: v for k, v in cfg.items() if k != "type"}
    if "transforms" in args:
        args["transforms"] = [build(item) for item in args["transforms"]]
    return args


def _operator(cfg: Any) -> Callable[..., np.ndarray]:
    """The built-in operator of a config, or albumentations' one behind the same call."""
    name = _name(cfg)
    if name not in NATIVE_OPERATORS:
        return _Foreign(_foreign(cfg, _albumentations(f"its operator {name}")))
    try:
        return NATIVE_OPERATORS[name](**_arguments(cfg, _operator))
    except TypeError as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(
            f"{name} of Albumentation: {error} (arguments are those of albumentations before "
            "1.4: max_holes, max_height ...)"
        ) from error


class _Foreign:
    """An operator of albumentations, called like a built-in one."""

    def __init__(self, operator: Any) -> None:
        self.operator = operator
        self.p = operator.p

    def __call__(self, image: np.ndarray, force: bool = False) -> np.ndarray:
        changed: np.ndarray = self.operator(image=image, force_apply=force)["image"]
        return changed


def _albumentations(wanted_for: str) -> Any:
    return needed(
        "albumentations",
        f"the pipeline needs albumentations for {wanted_for}, and it is not installed: "
        f"pip install 'poise[augment]'. Built in are {', '.join(NATIVE_OPERATORS)}",
    )


def _foreign(cfg: dict[str, Any], library: Any) -> Any:
    kind, name = cfg.get("type"), _name(cfg)
    operator = kind if isinstance(kind, type) else getattr(library, name, None)
    if operator is None:
        raise ArgumentError(
            f"albumentations {library.__version__} has no operator {name!r}"
            f"{nearest(name, dir(library))}"
        )
    return operator(**_arguments(cfg, lambda item: _foreign(item, library)))
