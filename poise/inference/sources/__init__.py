"""Where pictures come from: files, folders, patterns, arrays, addresses, videos, cameras.

`opening` makes sources of whatever a caller names; a source gives `frame.Frame`s. `pictures` reads
pictures, `video` files, `live` cameras and streams.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "pictures": "IMAGE_SUFFIXES Picture list_pictures read_picture to_bgr",
        "frame": "Frame Source",
        "opening": "open_sources",
        "video": "VIDEO_SUFFIXES VideoSource",
        "live": "CameraSource StreamSource",
    },
)
