"""Weights: reading files safely, loading them into models, saving them."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "loading": "load_checkpoint load_state_dict",
        "publishing": "publish",
        "whole": "convert",
        "pretrained": "PretrainedInit",
        "reading": "read_checkpoint read_state_dict state_dict_of",
        "keys": "strip_prefix",
        "saving": "save_checkpoint",
        "poise.zoo.downloads": "fetch",
        "sources": "locate",
    },
)
