"""Files from elsewhere: one copy on this machine, checked, whatever is cut off on the way.

`fetching` is asked for an address and `hub` for a model of Hugging Face's; `download` goes on where
it was cut, with `mirrors` and `progress`.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__, {"fetching": "fetch", "hub": "bring bring_weights"}
)
