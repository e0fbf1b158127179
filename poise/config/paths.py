"""Path table (being written)."""


def resolve(dotted: str) -> str | None:
    """Dotted MMPose path -> "module:name"."""
    return None
