"""Faces."""

from __future__ import annotations

from poise.schemas.parts import FACE_SIGMAS, face
from poise.schemas.schema import Schema

__all__ = ["SCHEMAS"]

SCHEMAS: dict[str, Schema] = {
    "300w": Schema("300w", "300w", points=face("kpt-", "red")),
    "300vw": Schema("300vw", "300vw", points=face("kpt-", "red")),
    "300wlp": Schema(
        "300wlp",
        "300wlp",
        points="- red: kpt-0..67",
    ),
    "aflw": Schema(
        "aflw",
        "aflw",
        points="""
            - red: kpt-0..18
            swap kpt-: 0 5 3, 6 11 3, 12 14 1, 15 17 1
            """,
    ),
    "cofw": Schema(
        "cofw",
        "cofw",
        points="""
            - red: kpt-0..28
            swap kpt-: 0 1 1, 2 3 1, 4 6 1, 5 7 1, 8 9 1, 10 11 1, 12 14 1, 13 15 1, 16 17 1,
                18 19 1, 22 23 1
            """,
    ),
    "coco_wholebody_face": Schema(
        "coco_wholebody_face",
        "coco_wholebody",
        points=face(color="red"),
        sigmas=FACE_SIGMAS,
    ),
    "lapa": Schema(
        "lapa",
        "lapa",
        points="""
            - red: kpt-0..105
            swap kpt-: 0 32 16, 33 46 5, 38 50 4, 55 65 5, 66 79 5, 71 82 3, 74 83 1, 84 90 3,
                91 95 2, 96 100 2, 101 103 1, 104 105 1
            """,
        weights="0.8*33 1*33 2*8 1 2*8 1 1.5*20 1*2",
    ),
    "wflw": Schema(
        "wflw",
        "wflw",
        points="""
            - red: kpt-0..97
            swap kpt-: 0 32 16, 33 46 5, 38 50 4, 55 59 2, 60 72 5, 65 75 3, 76 82 3, 83 87 2,
                88 92 2, 93 95 1, 96 97 1
            """,
    ),
}
