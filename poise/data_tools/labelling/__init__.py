"""Labelling poses in a browser: `poise data label`.

`opening` finds pictures and labels, `store` keeps them and `label_file` writes them, `people` says
what an edit makes of an annotation, `kinds` who the keypoints are, `showing` gives browsers what
training sees, `proposing` asks a model, `server` is between all that and the page, which is in
`page/`: one module for each idea, begun by `main.js`.
"""

from __future__ import annotations

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "opening": "open_labels",
        "proposing": "Proposer",
        "server": "LabelServer",
        "store": "LabelStore",
    },
)
