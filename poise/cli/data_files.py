"""`poise data convert` and `poise data split`: annotation files into other ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from poise._words import counted, numbered, shortened

__all__ = ["convert", "split"]

#: places shown for each reason why something was left out
_IDS_SHOWN = 3


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            help="File, folder or .zip: COCO, YOLO, JSON lines, labelme, CVAT, Label Studio, "
            "DeepLabCut, SLEAP."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="File to write, which names pictures from its own folder; a folder for labelling "
            "tools and YOLO.",
        ),
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="coco, yolo, jsonl, labelme, cvat, label-studio, deeplabcut or sleap; by the "
            "ending without it.",
        ),
    ] = None,
    source_form: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="coco, yolo, jsonl, labelme, cvat, label-studio, deeplabcut or sleap; by the "
            "content without it.",
        ),
    ] = None,
    schema: Annotated[
        str | None, typer.Option(help="Keypoints of the source: schema, or metadata file.")
    ] = None,
    to_schema: Annotated[
        str | None, typer.Option(help="Write the keypoints of this schema instead.")
    ] = None,
    derived: Annotated[
        bool,
        typer.Option("--derived", help="Of --to-schema also keypoints that are made of others."),
    ] = False,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the pictures; else looked for around the source.")
    ] = None,
    part: Annotated[str, typer.Option(help="Of a YOLO data set: train, val or test.")] = "train",
    category: Annotated[
        str | None, typer.Option(help="Only people, animals or things of this label.")
    ] = None,
    annotator: Annotated[
        str | None, typer.Option(help="Of Label Studio: id or mail address of whose work counts.")
    ] = None,
    predicted: Annotated[
        bool,
        typer.Option(
            "--predicted", help="Of SLEAP and Label Studio: also predictions nobody corrected."
        ),
    ] = False,
    save_pictures: Annotated[
        Path | None, typer.Option(help="Of SLEAP: write the labelled frames into this folder.")
    ] = None,
    without: Annotated[
        Path | None,
        typer.Option(help="Leave out what this file of `poise data audit --out` doubts."),
    ] = None,
    without_least: Annotated[
        float, typer.Option(min=0, max=1, help="Of --without: only findings that are as sure.")
    ] = 0.5,
    reviewed: Annotated[
        bool,
        typer.Option(
            "--reviewed", help="Of SOURCE only pictures that `poise data label` marked as reviewed."
        ),
    ] = False,
    box_margin: Annotated[
        float,
        typer.Option(help="Around the keypoints where a box is made, of their longer side."),
    ] = 0.1,
    add: Annotated[
        list[Path] | None,
        typer.Option(help="Also these labels, in any form; may be repeated."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Overwrite labels that are there in a tool's form, or SOURCE itself."
        ),
    ] = False,
) -> None:
    """Write annotations in another form, or with the keypoints of another skeleton.

    COCO and .jsonl files name pictures relative to their own folder, so they find them by
    themselves. Absolute names stay, those of a file beside its source, too; of pictures that are
    nowhere the names are kept, and the command says so.
    """
    from poise.data_tools.audit import doubtful_ids
    from poise.data_tools.formats import Reading, convert_annotations

    reading = Reading(
        schema=schema,
        images=images,
        part=part,
        category=category,
        annotator=annotator,
        predicted=predicted,
        save_pictures=save_pictures,
        margin=box_margin,
    )
    found, files = convert_annotations(
        source,
        out,
        reading,
        source_form=source_form,
        form=form,
        to_schema=to_schema,
        derived=derived,
        without=set() if without is None else doubtful_ids(without, without_least),
        reviewed=reviewed,
        added=add or (),
        replace=force,
    )
    sys.stdout.write(
        f"{counted(len(found.images), 'picture')}, {counted(found.kept, 'person')}, "
        f"{counted(len(found.names), 'keypoint')}{f' of {found.schema}' * bool(found.schema)}\n"
    )
    for sentence in found.said:
        sys.stdout.write(f"{sentence}\n")
    if without is not None and not found.lost["people that were to be left out"]:
        sys.stdout.write(
            f"nobody was left out: {without} doubts nobody of {source} "
            f"by {without_least:g} or more\n"
        )
    for reason, count in found.lost.items():
        if count:
            where = shortened(found.ids.get(reason, ()), _IDS_SHOWN)
            sys.stdout.write(
                f"left out: {numbered(count, reason)}{f': {where}' if where else ''}\n"
            )
    for file in files:
        sys.stdout.write(f"wrote {file}\n")
    if form == "yolo" or files[0].suffix in (".yaml", ".yml"):
        sys.stdout.write(f"the pictures belong into {files[0].parent / 'images'}\n")
    elif found.folder is not None:
        elsewhere = found.folder.resolve() != files[0].parent.resolve()
        hint = "; other commands take it as --images" if elsewhere else ""
        sys.stdout.write(f"names of pictures are relative to {found.folder}{hint}\n")


def split(
    source: Annotated[Path, typer.Argument(help="COCO file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the files of the parts.")],
    shares: Annotated[
        list[str] | None,
        typer.Option("--share", metavar="PART=SHARE", help="Such as train=0.8; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the choice.")] = 0,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Keep pictures together: a field of the images, such as vid_id, or a regular "
            "expression on their names."
        ),
    ] = None,
) -> None:
    """Split an annotation file by pictures, such as into training and validation."""
    from poise.data_tools.opening import folder_near
    from poise.data_tools.splitting import split_annotations
    from poise.errors import ArgumentError

    parts = {}
    for text in shares or ["train=0.9", "val=0.1"]:
        name, _, share = text.partition("=")
        if name in parts:
            raise ArgumentError(f"--share {name}=... comes twice; give it once")
        try:
            parts[name] = float(share)
        except ValueError as error:
            raise ArgumentError(
                f"--share is PART=SHARE, such as train=0.8, got '{text}'"
            ) from error
    written = split_annotations(source, out, parts, seed=seed, group_by=group_by)
    for file, pictures, people in written.values():
        held = f"{counted(pictures, 'picture')}, {counted(people, 'annotation')}"
        sys.stdout.write(f"wrote {file}: {held}\n")
    home, near = folder_near(source), folder_near(file)
    if home.resolve() != near.resolve():
        sys.stdout.write(
            f"names of pictures are relative to {home}; other commands take it as --images\n"
        )
