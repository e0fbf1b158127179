"""A data set from what people have: an annotation file, or a config that names one."""

from __future__ import annotations

import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from poise import schemas
from poise.check.categories import has_several_sets, use_one_set
from poise.check.files import read_annotations
from poise.data_tools.formats.archives import is_archive, unpack
from poise.data_tools.formats.reading import Reading, usual_folders
from poise.data_tools.formats.table import labels_in
from poise.data_tools.own_labels import as_coco_file, is_foreign
from poise.datasets import BaseMocapDataset, build_dataset
from poise.datasets.coco_file import read_json
from poise.datasets.report import reports_of
from poise.errors import ConfigError, DataError, FileMissingError, UnknownNameError, nearest, one_of
from poise.registry import DATASETS

__all__ = ["data_of_config", "folder_near", "is_coco_file", "open_dataset"]

PARTS = ("train", "val", "test")
#: endings of annotation files
_JSON = (".json", ".json.gz")
_ANNOTATIONS = (*_JSON, ".npz")
#: pictures that are looked for around a file
_TRIED = 20
#: field of an annotation that only one data set has -> its class
_TELLING_FIELDS = {
    "foot_kpts": "CocoWholeBodyDataset",
    "keypoints_21": "HumanArt21Dataset",
    "joint_valid": "InterHand3DDataset",
}
#: the same for the arrays of a .npz file
_TELLING_ARRAYS = {"train_data": "H36MWholeBodyDataset", "imgname": "Human36mDataset"}


def open_dataset(
    source: str | Path,
    *,
    kind: str | None = None,
    schema: str | None = None,
    images: str | Path | None = None,
    part: str = "train",
    mode: str | None = None,
    category: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Any:
    """A data set, without transforms.

    One of labels of another form than COCO's has `imported`: sentences about what was made of them,
    guessed, and left out.

    Args:
        source: annotation file (.json, .npz), labels of a labelling tool, either of them in a
            .zip archive, config file, or name of a released model.
        kind: class of the data set, such as "WFLWDataset"; by the file's looks without it.
        schema: name of the keypoints' schema, or path of a metadata file; those that the file
            names without it.
        images: folder of the pictures; looked for around the annotation file without it.
        part: of a config: "train", "val" or "test".
        mode: "topdown" or "bottomup", instead of the config's or the class's own.
        category: of an annotation file or labels of a tool: only people, animals or things of it;
            without it categories with different keypoints are joined.
        settings: further arguments of the class.

    Raises:
        FileMissingError: there is no such file.
        DataError: the file is none that Poise reads.
        ConfigError: the config has no such part.
    """
    path = Path(source)
    common = {"schema": schema, "mode": mode, "settings": settings}
    if is_archive(path):
        more = {"kind": kind, "images": images, "part": part, "category": category}
        return _opened_copy(path, partial(_unpacked, path), **common, **more)
    if kind is None and is_foreign(path):
        reading = Reading(
            schema=schema,
            images=None if images is None else Path(images),
            part=part,
            category=category,
        )
        return _opened_copy(path, partial(_as_coco, path, reading), **common)
    if kind is None and (category is not None or _has_several_sets(path)):
        return _opened_copy(path, partial(_as_one_set, path, category, images), **common)
    one_of(part, PARTS, "a part of a config")
    if images is not None and not Path(images).is_dir():
        raise FileMissingError(f"there is no folder of pictures {images}")
    changes = dict(settings or {})
    if mode is not None:
        changes["data_mode"] = mode
    if schema is not None:
        _check_schema(schema)
        changes["metainfo"] = {"from_file": schema}
    if images is not None:
        changes["data_prefix"] = {"img": str(images)}
    if path.is_dir():
        raise FileMissingError(
            f"{path} is a folder; expected an annotation file{_annotations_in(path)}, labels of a "
            "labelling tool, or a config"
        )
    if path.name.endswith(_ANNOTATIONS):
        if not path.is_file():
            raise FileMissingError(f"there is no annotation file {path}")
        cfg = _of_file(path, kind, changes)
    else:
        found, _ = data_of_config(str(source), part)
        cfg = {"type": "ConcatDataset", "datasets": found} if isinstance(found, list) else found
        cfg = {**cfg, **({"type": kind} if kind else {})}
    cfg = {**cfg, **changes}
    _check_kind(cfg["type"])
    return build_dataset(_to_look_at(cfg, outermost=True))


#: writes into a folder; gives the file to open, what was done, and arguments of `open_dataset`
_Writer = Callable[[Path], tuple[Path, list[str], dict[str, Any]]]


def _opened_copy(path: Path, write: _Writer, **options: Any) -> Any:
    """A data set of files that are written for it and live as long as it; reports name `path`."""
    folder = Path(tempfile.mkdtemp(prefix="poise-labels-"))
    try:
        file, told, more = write(folder)
        found = open_dataset(file, **{**options, **more})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # what was made, guessed and left out on the way, for whoever shows the data set
    found.imported = [*told, *getattr(found, "imported", ())]
    for report in reports_of(found):
        report.source = str(path)
    weakref.finalize(found, shutil.rmtree, folder, ignore_errors=True)
    return found


def _unpacked(path: Path, folder: Path) -> tuple[Path, list[str], dict[str, Any]]:
    home, sentence = unpack(path, folder)
    return labels_in(home), [sentence.replace(str(folder), "a temporary folder")], {}


def _as_coco(path: Path, reading: Reading, folder: Path) -> tuple[Path, list[str], dict[str, Any]]:
    file, pictures, told = as_coco_file(path, folder / f"{path.stem}.json", reading)
    return file, told[1:], {"images": reading.images or pictures}


def _as_one_set(
    path: Path, category: str | None, images: str | Path | None, folder: Path
) -> tuple[Path, list[str], dict[str, Any]]:
    """A copy of a COCO file with one set of keypoints, of all its categories or of one."""
    if not path.name.endswith(_JSON) or not path.is_file():
        raise ConfigError(
            f"--category chooses from an annotation file (.json) or labels of a tool, got {path}"
        )
    (file,), told = use_one_set([path], folder, category)
    return file, told, {"images": images or folder_near(path)}


def _has_several_sets(path: Path) -> bool:
    """Whether a file is one of COCO's form whose categories have different keypoints."""
    if not path.name.endswith(_JSON) or not path.is_file():
        return False
    try:
        return has_several_sets(read_annotations(path))
    except DataError:  # of another form, or broken: its reader says so
        return False


def is_coco_file(path: Path) -> bool:
    """Whether a file is one of COCO's form by its name, and not of a labelling tool."""
    return path.name.endswith(_JSON) and path.is_file() and not is_foreign(path)


def _annotations_in(folder: Path) -> str:
    """Part of an error text: the first annotation files below a folder."""
    found = sorted(p for p in folder.rglob("*") if p.suffix in (".json", ".npz"))[:3]
    return f", such as {', '.join(map(str, found))}" if found else ""


def _check_schema(schema: str) -> None:
    """Raise UnknownNameError unless it is a schema's name, or a path."""
    if not Path(schema).suffix and schema not in schemas.names():
        raise UnknownNameError(
            f"there is no keypoint schema '{schema}'; `poise data schemas` lists them"
            f"{nearest(schema, schemas.names())}"
        )


def _of_file(path: Path, kind: str | None, changes: Mapping[str, Any]) -> dict[str, Any]:
    found = kind or _guessed_kind(path)
    cfg: dict[str, Any] = {"type": found, "ann_file": str(path)}
    reader = DATASETS.get(found)
    if reader is not None and hasattr(reader, "rule") and "data_prefix" not in changes:
        cfg["data_prefix"] = {"img": str(folder_near(path))}
    elif "data_root" not in changes and path.suffix == ".npz":
        cfg["data_root"], cfg["ann_file"] = str(path.parent), path.name
    if kind is None and found == "BaseCocoStyleDataset" and "metainfo" not in changes:
        # reads the file once more, and only for names and sides
        from poise.check.keypoints import describe_keypoints

        cfg["metainfo"] = describe_keypoints(path).metainfo
    return cfg


def folder_near(path: Path) -> Path:
    """Folder near an annotation file that has one of its first pictures; its own if none has."""
    content = read_json(str(path))
    rows = content.get("images") if isinstance(content, dict) else content
    first = [
        row for row in (rows if isinstance(rows, list) else [])[:_TRIED] if isinstance(row, dict)
    ]
    names = [str(row.get("file_name", row.get("image", ""))).replace("\\", "/") for row in first]
    # one picture may be lost; most often the first is there
    places = ((folder, name) for name in names if name for folder in usual_folders(path.parent))
    return next((folder for folder, name in places if (folder / name).is_file()), path.parent)


def _guessed_kind(path: Path) -> str:
    """Class that reads a file, by its fields."""
    if path.suffix == ".npz":
        arrays = _names_of_arrays(path)
        return next((kind for name, kind in _TELLING_ARRAYS.items() if name in arrays), _ARRAYS)
    content = read_json(str(path))
    if isinstance(content, list):
        if content and isinstance(content[0], dict) and "joints_vis" in content[0]:
            return "MpiiDataset"
        raise DataError(
            f"{path} is a list; annotation files are objects with `images` and `annotations`. Is "
            "it a file of a detector's boxes or of results?"
        )
    first: Any = (
        next(iter(content.get("annotations") or ()), {}) if isinstance(content, dict) else {}
    )
    has: Any = first if isinstance(first, dict) else {}
    return next((kind for field, kind in _TELLING_FIELDS.items() if field in has), _PLAIN)


def _names_of_arrays(path: Path) -> list[str]:
    """Those of a .npz file; none where it is broken, of which its reader tells."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except zipfile.BadZipFile:
        return []


_PLAIN, _ARRAYS = "BaseCocoStyleDataset", "Human36mDataset"


def data_of_config(
    source: str, part: str, settings: Mapping[str, Any] | None = None
) -> tuple[Any, str]:
    """The data set of a config, as a tree or a list of such, and the scope of its names.

    The config's `custom_imports` are imported.

    Args:
        source: config file, or name of a released model. part: train, val or test.
        settings: changes of the config.

    Raises:
        FileMissingError: there is no such file.
        ConfigError: the config has no such part.
    """
    from poise import Config, load_config
    from poise.config import apply_custom_imports

    if Path(source).suffix and not Path(source).is_file() and not source.startswith("configs/"):
        raise FileMissingError(f"there is neither an annotation file nor a config {source}")
    cfg = Config.fromfile(source) if Path(source).is_file() else load_config(source)
    if settings:
        cfg.merge_from_dict(dict(settings))
    apply_custom_imports(cfg)
    loader = cfg.get(f"{part}_dataloader")
    if not loader:
        has = [p for p in PARTS if cfg.get(f"{p}_dataloader")]
        raise ConfigError(
            f"{source} has no {part}_dataloader; it has data for {', '.join(has) or 'nothing'}"
        )
    tree: Any = loader.to_dict()["dataset"]
    # once is enough to look at it
    while isinstance(tree, dict) and tree.get("type") == "RepeatDataset":
        tree = tree["dataset"]
    return tree, str(cfg.get("default_scope") or "mmpose")


def _check_kind(kind: Any) -> None:
    if isinstance(kind, str) and DATASETS.get(kind) is None:
        known = [name.rpartition(".")[2] for name in DATASETS.names()]
        raise UnknownNameError(f"there is no data set class '{kind}'{nearest(kind, known)}")


def _to_look_at(cfg: dict[str, Any], *, outermost: bool = False) -> dict[str, Any]:
    """The config with only the transforms of mixtures' members that renumber keypoints.

    Numbers of motion capture that are none stay, for audits to find them.
    """
    kept = dict(cfg)
    named = kept.get("type")
    kind = DATASETS.get(named) if isinstance(named, str) else named
    if isinstance(kind, type) and issubclass(kind, BaseMocapDataset):
        kept["filter_cfg"] = {"on_bad": "keep", **(kept.get("filter_cfg") or {})}
    if outermost and "pipeline" in kept:
        kept["pipeline"] = []
    elif "pipeline" in kept:
        converters = ("KeypointConverter", "SingleHandConverter")
        kept["pipeline"] = [t for t in kept["pipeline"] if t.get("type") in converters]
    for key in ("dataset", "datasets"):
        value = kept.get(key)
        if isinstance(value, dict):
            kept[key] = _to_look_at(value)
        elif isinstance(value, list):
            kept[key] = [_to_look_at(member) for member in value]
    return kept
