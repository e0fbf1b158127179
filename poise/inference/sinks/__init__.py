"""Where results go: pictures, videos, tables and other files; one module a kind, listed in `table`.

`base` is what every sink answers to, `group` writes to several in a thread of its own. Pictures
(`image`, `video`, `sheet`, `window`) show what `drawing` draws. `json_files`, `coco`, `yolo` and
`table_files` are written as results come. Formats that need a whole video (`trc`, `c3d`, `bvh`,
`html3d`, `deeplabcut`, `sleap`, `angles`) wait in a `spool`.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "base": "FileSink Sink SinkOptions",
        "table": "SINKS open_sinks",
        "group": "SinkGroup",
    },
)
