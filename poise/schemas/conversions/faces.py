"""Tables: points of faces, which have numbers instead of names.

The 68 points of 300W, 300VW, 300W-LP and COCO-WholeBody are one layout, here called "face";
WFLW's 98, LaPa's 106 and COFW's 29 points are matched with it where they lie at the same place.
"""

from __future__ import annotations

__all__ = ["FACE_LAYOUTS", "FACE_PAIRS", "numbered"]

#: schema -> the prefix of its points' words. Names such as "kpt-5" mean something else in each
FACE_LAYOUTS = {
    "300w": "face-",
    "300vw": "face-",
    "300wlp": "face-",
    "coco_wholebody_face": "face-",
    "wflw": "wflw-",
    "lapa": "lapa-",
    "cofw": "cofw-",
    "aflw": "aflw-",
}

#: (words of the source, words of the target) -> pairs of `numbered`
FACE_PAIRS = {
    ("face-", "lapa-"): (
        "0-16:0/2 17-21:33 22-26:42 27-30:51 31-35:58 36:66 39:70 37&38:68 40&41:72 42:75 45:79 "
        "43&44:77 46&47:81 48-67:84"
    ),
    ("wflw-", "lapa-"): "0-54:0 55-59:58 60-67:66 68-75:75 76-97:84",
    ("cofw-", "lapa-"): (
        "0:33 2:38 4:35 5:40 1:46 3:50 6:44 7:48 8:66 10:70 12:68 13:72 9:79 11:75 14:77 15:81 "
        "18:57 19:63 20:54 21:60 22:84 23:90 24:87 25:98 26:102 27:93 28:16"
    ),
    ("wflw-", "face-"): "0-32/2:0 33-37:17 42-46:22 51-61:27 63-65:38 67-69:41 71-73:44 75-95:47",
    ("lapa-", "face-"): (
        "0-32/2:0 33-37:17 42-46:22 51-54:27 58-62:31 66-67:36 69-71:38 73:41 75-76:42 78-80:44 "
        "82:47 84-103:48"
    ),
    ("cofw-", "face-"): (
        "0:17 2:21 4:19 1:26 3:22 6:24 8:36 10:39 9:45 11:42 18:31 19:35 20:30 21:33 22:48 23:54 "
        "24:51 25:62 26:66 27:57 28:8"
    ),
}

Numbers = tuple[tuple[int, ...], int]


def numbered(text: str) -> list[Numbers]:
    """Pairs ((source, ...), target) of a table.

    Args:
        text: runs "source:target". "3-5:7" stands for 3:7 4:8 5:9; "0-4/2:7" takes every second
            source, "0-2:7/2" every second target; "3&4:7" is the mean of two sources.

    Example:
        >>> numbered("0-2:7/2 3&4:1")
        [((0,), 7), ((1,), 9), ((2,), 11), ((3, 4), 1)]
    """
    pairs: list[Numbers] = []
    for run in text.split():
        source, target = run.split(":")
        place, _, target_step = target.partition("/")
        if "&" in source:
            pairs.append((tuple(map(int, source.split("&"))), int(place)))
            continue
        ends, _, step = source.partition("/")
        first, _, last = ends.partition("-")
        for n, index in enumerate(range(int(first), int(last or first) + 1, int(step or 1))):
            pairs.append(((index,), int(place) + n * int(target_step or 1)))
    return pairs
