"""`poise data`: look at data sets, check them, and see who their keypoints are."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from poise._words import counted, numbered, shortened
from poise.cli import (
    data_audit,
    data_boxes,
    data_browse,
    data_files,
    data_label,
    data_pick,
    data_prepare,
    data_sigmas,
    options,
)

__all__ = ["app"]

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="Annotation file (.json, .npz), labels of a labelling tool (or their .zip), config "
        "file, or name of a model.",
    ),
]
Kind = Annotated[
    str | None,
    typer.Option("--type", help="Data set class, such as WFLWDataset; else by the file's looks."),
]
Images = Annotated[
    Path | None,
    typer.Option("--images", help="Folder of the pictures; else looked for around the file."),
]
Part = Annotated[str, typer.Option("--part", help="Of a config: train, val or test.")]
Mode = Annotated[
    str | None,
    typer.Option("--mode", help="topdown: by people; bottomup: by pictures.", metavar="MODE"),
]
Category = Annotated[
    str | None,
    typer.Option("--category", metavar="NAME", help="Only people, animals or things of it."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Argument of the data set class."),
]


def _open(
    source: Source,
    kind: Kind = None,
    schema: options.Schema = None,
    images: Images = None,
    part: Part = "train",
    mode: Mode = None,
    category: Category = None,
    settings: Settings = None,
) -> Any:
    """The data set that the options describe."""
    from poise.config import parse_overrides
    from poise.data_tools import open_dataset

    return open_dataset(
        source,
        kind=kind,
        schema=schema,
        images=images,
        part=part,
        mode=mode,
        category=category,
        settings=parse_overrides(settings or []),
    )


def _of_data(command: Callable[..., None]) -> Callable[..., None]:
    """Command with the options of `_open`, which gets the opened data set first."""
    shared = inspect.signature(_open, eval_str=True).parameters
    _, *own = inspect.signature(command, eval_str=True).parameters.values()

    def run(**values: Any) -> None:
        dataset = _open(**{name: values.pop(name) for name in shared})
        for sentence in getattr(dataset, "imported", ()):
            typer.echo(sentence, err=True)
        command(dataset, **values)

    source, *rest = shared.values()
    merged = [p.replace(kind=p.KEYWORD_ONLY) for p in (source, *own, *rest)]
    # what the command line is made of
    run.__signature__ = inspect.Signature(merged)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in merged}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _write_reports(dataset: Any) -> None:
    from poise.data_tools import reports_of

    for report in reports_of(dataset):
        typer.echo(str(report))


@_of_data
def draw(
    dataset: Any,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Picture file; more sheets get numbers.")
    ] = Path("sheet.jpg"),
    num: Annotated[int, typer.Option("--num", "-n", min=1, help="How many records.")] = 16,
    seed: Annotated[
        int, typer.Option(help="Of the choice of records; -1 takes the first ones.")
    ] = 0,
    size: Annotated[int, typer.Option(min=32, help="Pixels of a picture on the sheet.")] = 320,
    whole: Annotated[
        bool, typer.Option("--whole", help="Whole pictures, also where people are small.")
    ] = False,
    indices: Annotated[
        bool, typer.Option("--indices", help="Write the number of each keypoint.")
    ] = False,
    boxes: Annotated[bool, typer.Option(help="Draw boxes.")] = True,
) -> None:
    """Draw annotations on contact sheets: keypoints, links, boxes, ids; 3D as stick figures."""
    from poise.data_tools import draw_sheets

    files = draw_sheets(
        dataset,
        out,
        num=num,
        seed=None if seed < 0 else seed,
        title=Path(str(getattr(dataset, "ann_file", None) or "")).name,
        size=size,
        whole=whole,
        indices=indices,
        boxes=boxes,
    )
    _write_reports(dataset)
    for file in files:
        typer.echo(f"wrote {file}")


@_of_data
def stats(
    dataset: Any,
    as_json: options.Json = False,
) -> None:
    """Count people, labelled keypoints, box sizes, and annotations left out."""
    from poise.data_tools import data_statistics

    found = data_statistics(dataset)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    _write_reports(dataset)
    typer.echo(f"{counted(found['people'], 'person')} in {counted(found['images'], 'picture')}")
    for title, key in (
        ("people per picture", "people_per_image"),
        ("labelled keypoints per person", "labelled_per_person"),
        ("box size (square root of the area, pixels)", "box_size"),
        ("people by size (limits 32 and 96 pixels squared)", "sizes"),
    ):
        typer.echo(f"{title}: " + "  ".join(f"{k}: {v}" for k, v in found[key].items()))
    _write_table(
        ["keypoint", "labelled", "share"],
        [[n, f"{v['labelled']:,}", f"{v['share']:.1%}"] for n, v in found["keypoints"].items()],
    )


@_of_data
def check(
    dataset: Any,
    open_pictures: Annotated[
        bool,
        typer.Option("--open-pictures", help="Also decode every picture, and use its size."),
    ] = False,
    most: Annotated[int, typer.Option("--ids", min=0, help="Most ids to show of each kind.")] = 10,
    as_json: options.Json = False,
) -> None:
    """Look for faults: what was left out, absent pictures, odd keypoints, with ids.

    The exit status is 1 where something is wrong for sure.
    """
    from poise.data_tools import check_data

    findings = check_data(dataset, open_pictures=open_pictures)
    if as_json:
        typer.echo(json.dumps([vars(f) | {"count": len(f.ids)} for f in findings], default=str))
    else:
        _write_reports(dataset)
        for finding in findings:
            mark = "fault" if finding.fault else "note"
            shown = shortened(finding.ids, most)
            typer.echo(f"{mark}: {numbered(len(finding.ids), finding.about)}: {shown}")
        if not findings:
            typer.echo("nothing found")
    if any(f.fault for f in findings):
        raise typer.Exit(1)


def schemas(as_json: options.Json = False) -> None:
    """List the keypoint schemas: name, keypoints, links, sigmas, pairs of sides."""
    from poise import schemas as known

    rows = []
    for name in known.names():
        info = known.get(name)
        swaps = sum(bool(p.get("swap")) for p in info["keypoint_info"].values())
        rows.append(
            {
                "name": name,
                "keypoints": len(info["keypoint_info"]),
                "links": len(info["skeleton_info"]),
                "pairs": swaps // 2,
                "sigmas": bool(info["sigmas"]),
            }
        )
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    words = {True: "yes", False: "-"}
    cells = [[words[v] if isinstance(v, bool) else str(v) for v in r.values()] for r in rows]
    _write_table(["schema", "keypoints", "links", "pairs", "sigmas"], cells)


def schema(
    name: Annotated[str, typer.Argument(help="Name of a schema, or metadata file.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Picture file for the drawn skeleton.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show a schema: keypoints with other side, weight and sigma, links; draw it."""
    from poise import schemas as known

    info = known.get(name)
    if as_json:
        typer.echo(json.dumps(info, indent=1))
    else:
        points = info["keypoint_info"]
        sigmas = info["sigmas"] or ["-"] * len(points)
        weights = [*info["joint_weights"], *["-"] * len(points)][: len(points)]
        _write_table(
            ["", "keypoint", "other side", "part", "weight", "sigma"],
            [
                [str(i), p["name"], p.get("swap") or "", p.get("type") or "", str(w), str(s)]
                for (i, p), w, s in zip(points.items(), weights, sigmas, strict=True)
            ],
        )
        links = [" - ".join(link["link"]) for link in info["skeleton_info"].values()]
        typer.echo(f"{len(links)} links: {', '.join(links)}" if links else "no links")
        for fault in known.FAULTS.get(name, ()):
            typer.echo(f"known fault, kept: {fault.about}")
    if out is not None:
        from poise.data_tools.schema_pictures import draw_schema
        from poise.visualization.files import write_picture

        write_picture(draw_schema(name), out, order="bgr")
        typer.echo(f"wrote {out}")


def mappings(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="A mapping, such as coco->h36m, or two schemas; none lists all."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List the mappings between skeletons, or show one keypoint by keypoint."""
    from poise.schemas import conversions

    if not names:
        found = conversions.overview()
        if as_json:
            typer.echo(json.dumps([{"name": m.name} | m.counts for m in found], indent=1))
            return
        cells = [[m.name, *(str(n) for n in m.counts.values())] for m in found]
        _write_table(["mapping", "measured", "derived", "missing"], cells)
        return
    mapping = conversions.named(names[0]) if len(names) == 1 else conversions.find(*names[:2])
    if as_json:
        lines = [{"keypoint": n, "kind": k, "from": t} for n, k, t in mapping.lines()]
        typer.echo(json.dumps({"name": mapping.name, "keypoints": lines}, indent=1))
        return
    typer.echo(f"{mapping.name}: " + ", ".join(f"{n} {kind}" for kind, n in mapping.counts.items()))
    _write_table(["keypoint", "", "from"], [list(line) for line in mapping.lines()])


def _write_table(head: list[str], rows: list[list[str]]) -> None:
    from poise.report.evaluation import text_table

    typer.echo("\n".join(text_table(head, rows, left=len(head))))


app = options.command_group(
    "data",
    "Draw, count, check, pick, label and convert data; list keypoint schemas and mappings.",
    draw=draw,
    browse=data_browse.browse,
    stats=stats,
    check=check,
    audit=_of_data(data_audit.audit),
    pick=data_pick.pick,
    label=data_label.label,
    prepare=data_prepare.prepare,
    boxes=_of_data(data_boxes.boxes),
    convert=data_files.convert,
    split=data_files.split,
    sigmas=data_sigmas.sigmas,
    schemas=schemas,
    schema=schema,
    mappings=mappings,
)
