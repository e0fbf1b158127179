"""Names of models -> what makes their config, where their weights lie, what they score.

`models.txt` beside this file is the table; it is read once, when a name is first asked for.
"""

from __future__ import annotations

import functools
import importlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from poise.errors import ConfigError, UnknownNameError, nearest
from poise.zoo.refused import refusal

__all__ = [
    "DEFAULT_MODEL",
    "Model",
    "Score",
    "find_model",
    "find_recipe",
    "models",
    "names",
    "require_model",
    "spellings",
    "suggestion",
]

#: What `poise predict` uses where no model is named: it needs no download.
DEFAULT_MODEL = "movenet-thunder"

#: Start of the addresses in the table; one that begins with "/" is a path on that host.
WEIGHTS_BASE = "https://download.openmmlab.com/mmpose/"

#: Folders of detectors, which pose models look through.
_DETECTOR_FOLDERS = ("demo/", "mmdet::")
#: the one inside the package
_OWN_DETECTOR = "nanodet"
#: tasks of folders that do not say it; MoveNet and some projects find bodies
_OTHER_TASKS = {"projects/rtmpose3d/configs": "wholebody 3d", "pose_anything": "any 2d"}

#: start of a name that does not say its square input -> pixels of its side
_SIDES = {
    "movenet-thunder": 256,
    "movenet-lightning": 192,
    "pose-anything": 224,
    "rf-detr-keypoint-preview": 576,
    "yolox-pose_tiny": 416,
    "yolox-pose_": 640,
}

#: Letters from which on a part of names is worth to be searched for.
_SHORTEST_PART = 3

_TABLE = Path(__file__).parent / "models.txt"


@dataclass(frozen=True)
class Score:
    """Published figures of a model on one dataset.

    Attributes:
        data: name of the dataset as its authors write it.
        figures: metric -> figure; most are shares from 0 to 1, some are pixels or millimetres.
    """

    data: str
    figures: dict[str, float]

    @property
    def main(self) -> tuple[str, float]:
        """The metric that names the rank on that dataset, and its figure."""
        order = ("AP", "box_AP", "Whole_AP", "Mean", "Total", "AUC", "NME", "PCK@0.2", "MPJPE")
        name = next((key for key in order if key in self.figures), next(iter(self.figures)))
        return name, self.figures[name]


@dataclass(frozen=True)
class Model:
    """A released model.

    Attributes:
        name: stem of its config file in MMPose.
        folder: folder of that file under `configs/`, such as
            "body_2d_keypoint/topdown_heatmap/coco", or a folder of `projects/` or `demo/`; for
            MMDetection's own "mmdet::rtmdet", for what is Poise's own its name.
        family: module of `poise.zoo.families` that knows the recipe.
        parameters: in millions, or None where several networks take part.
        gflops: multiplications with an addition, in thousand millions, for one input; None where
            they were not counted.
        weights: address of the released weights, or None.
        scores: published figures.
        aliases: other names.
    """

    name: str
    folder: str
    family: str
    parameters: float | None
    gflops: float | None
    weights: str | None
    scores: tuple[Score, ...]
    aliases: tuple[str, ...]

    @property
    def is_detector(self) -> bool:
        """Whether it finds boxes, not keypoints."""
        return self.folder.startswith((*_DETECTOR_FOLDERS, _OWN_DETECTOR))

    @property
    def task(self) -> str:
        """What is found: "body 2d", "hand 3d", "wholebody 2d" ..., or "detection"."""
        if self.is_detector:
            return "detection"
        # "body_2d_keypoint" is the first folder of a config, or the last of a project's
        found = re.search(r"(?:^|/)([a-z]+)_([23]d)_keypoint", self.folder)
        return " ".join(found.groups()) if found else _OTHER_TASKS.get(self.folder, "body 2d")

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Input width and height in pixels, where they are fixed and known."""
        side = next((side for start, side in _SIDES.items() if self.name.startswith(start)), None)
        if side is not None:
            return side, side
        found = re.search(r"-(\d+)(?:x(\d+))?(?:-\w+)?$", self.name)
        if found is None:
            return None
        height, width = found.groups()
        return int(width or height), int(height)

    @property
    def config(self) -> str | None:
        """Path of the config file in MMPose; None for models that MMPose does not have."""
        if self.is_detector:
            return f"{self.folder}/{self.name}.py"
        if "/" not in self.folder:
            return None
        root = "" if self.folder.startswith("projects/") else "configs/"
        return f"{root}{self.folder}/{self.name}.py"

    def recipe(self) -> dict[str, Any]:
        """The config tree, newly made."""
        module = importlib.import_module(f"poise.zoo.families.{self.family}")
        tree: dict[str, Any] = module.recipe(self.name)
        return tree


@functools.cache
def models() -> dict[str, Model]:
    """All models by name, in the order of the table."""
    return _tables()[0]


@functools.cache
def _tables() -> tuple[dict[str, Model], dict[str, Model]]:
    """Models by name, and all by the path of their config.

    Some models have two configs in MMPose: one of a project with other settings of training,
    which its path alone names.
    """
    metrics: dict[str, list[str]] = {}
    named: dict[str, Model] = {}
    by_path: dict[str, Model] = {}
    folder = family = ""
    for line in _TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("@"):
            data, _, text = line[2:].partition(": ")
            metrics[data] = text.split()
        elif line.startswith("["):
            folder, family = line[1:].split("] ")
        elif line.startswith("= "):
            model = replace(named[line[2:]], folder=folder, family=family)
            by_path[f"{model.config}"] = model
        elif line and not line.startswith("#"):
            model = _model(line, folder, family, metrics)
            named[model.name] = by_path[f"{model.config}"] = model
    return named, by_path


def _model(line: str, folder: str, family: str, metrics: dict[str, list[str]]) -> Model:
    cells = [cell.strip() for cell in line.split("|")]
    name, size, weights, scores, aliases = (*cells, "", "")[:5]
    address = None
    if weights.startswith("="):
        address = f"{WEIGHTS_BASE}v1/{folder}/{name}-{weights[1:]}.pth"
    elif weights not in ("", "-"):
        address = urljoin(WEIGHTS_BASE, f"{weights}.pth")
    figures = []
    for text in filter(None, scores.split("; ")):
        data, *numbers = text.split()
        named = zip(metrics[data], map(float, numbers), strict=True)
        figures.append(Score(data.partition("/")[0], dict(named)))
    parameters, gflops = (
        (None if cell == "-" else float(cell)) for cell in f"{size} -".split()[:2]
    )
    return Model(
        name, folder, family, parameters, gflops, address, tuple(figures), tuple(aliases.split())
    )


@functools.cache
def _by_spelling() -> dict[str, str]:
    """Names by what people write for them: aliases, and names in small letters."""
    spellings = {name.lower(): name for name in models()}
    for model in models().values():
        spellings |= {alias.lower(): model.name for alias in model.aliases}
    return spellings


def names() -> list[str]:
    """All model names that `load_config` knows without a file, sorted; aliases are not listed."""
    return sorted(models())


def find_model(name: str) -> Model | None:
    """Model of a name, an alias, or the path of MMPose's config file; None if there is none.

    Capitals do not matter, as in MMPose.

    Example:
        >>> find_model("vitpose-s").name
        'td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192'
    """
    path = name.replace("\\", "/").removeprefix("mmpose::")
    path = path if path.endswith(".py") else f"{path}.py"
    of_project = _tables()[1].get(path) if path.startswith("projects/") else None
    stem = _stem(name)
    return of_project or models().get(stem) or models().get(_by_spelling().get(stem.lower(), ""))


def _stem(name: str) -> str:
    """Name of the model in a path of MMPose's repository; other paths are no names."""
    name = name.replace("\\", "/").removesuffix(".py")
    start = name.startswith(("mmpose::", "configs/", "projects/", *_DETECTOR_FOLDERS))
    return re.split("/|::", name)[-1] if start else name


def require_model(name: str) -> Model:
    """Model of a name, an alias or a path.

    Raises:
        ConfigError: a model that is left out; the text says what to use instead.
        UnknownNameError: there is none; the text says what is near.
    """
    model = find_model(name)
    if model is None:
        refused = refusal(name)
        if refused is not None:
            raise ConfigError(refused)
        raise UnknownNameError(f"'{name}' is not the name of a model{suggestion(name)}")
    return model


def suggestion(name: str) -> str:
    """End of an error text about a name that no model has: those that hold it, or near ones."""
    begun = [full for full in names() if full.lower().startswith(name.lower())]
    found = begun or [full for full in names() if name.lower() in full.lower()]
    if len(name) >= _SHORTEST_PART and len(found) > 1:
        how = "begin so" if begun else "have this in them"
        return f"; {len(found)} names {how} (`poise zoo search {name}`), such as '{found[0]}'"
    near = found if len(found) == 1 else spellings()
    return nearest(name, near) or "; `poise zoo list` shows the names"


def spellings() -> list[str]:
    """All names and aliases."""
    return [*models(), *(alias for model in models().values() for alias in model.aliases)]


def find_recipe(name: str) -> dict[str, Any] | None:
    """Config tree of a model name, or None for a name that is not known."""
    model = find_model(name)
    return None if model is None else model.recipe()
