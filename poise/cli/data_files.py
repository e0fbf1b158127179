"""`poise data convert` and `poise data split`: annotation files into other ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["convert", "split"]


def convert(
    source: Annotated[
        Path,
        typer.Argument(help="COCO file (.json), YOLO's data file (.yaml), or JSON lines (.jsonl)."),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write; for YOLO's form a folder will do.")
    ],
    form: Annotated[
        str | None, typer.Option("--to", help="coco, yolo or jsonl; by the ending without it.")
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
        Path | None, typer.Option(help="Folder of the pictures of a YOLO data set.")
    ] = None,
    part: Annotated[str, typer.Option(help="Of a YOLO data set: train, val or test.")] = "train",
) -> None:
    """Write annotations in another form, or with the keypoints of another skeleton."""
    from poise.data_tools.formats import convert_annotations

    found, files = convert_annotations(
        source,
        out,
        form=form,
        schema=schema,
        to_schema=to_schema,
        derived=derived,
        images=images,
        part=part,
    )
    kept = len(found.people) - sum(n for why, n in found.lost.items() if "pictures" not in why)
    sys.stdout.write(
        f"{len(found.images):,} pictures, {kept:,} people, {len(found.names)} keypoints"
        f"{f' of {found.schema}' if found.schema else ''}\n"
    )
    for reason, count in found.lost.items():
        if count:
            sys.stdout.write(f"left out: {count:,} {reason}\n")
    for file in files:
        sys.stdout.write(f"wrote {file}\n")
    if form == "yolo" or files[0].suffix in (".yaml", ".yml"):
        sys.stdout.write(f"the pictures belong into {files[0].parent / 'images'}\n")


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
    from poise.data_tools.splitting import split_annotations
    from poise.errors import ArgumentError

    parts = {}
    for text in shares or ["train=0.9", "val=0.1"]:
        name, _, share = text.partition("=")
        try:
            parts[name] = float(share)
        except ValueError as error:
            raise ArgumentError(
                f"--share is PART=SHARE, such as train=0.8, got '{text}'"
            ) from error
    written = split_annotations(source, out, parts, seed=seed, group_by=group_by)
    for file, pictures, people in written.values():
        sys.stdout.write(f"wrote {file}: {pictures:,} pictures, {people:,} annotations\n")
