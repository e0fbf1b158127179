"""Released models by name: recipes that expand to config trees."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {"index": "DEFAULT_MODEL default_weights names", "loading": "load_config"},
)
