"""Released models by name: recipes that expand to config trees, their weights and scores."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "index": "DEFAULT_MODEL Model Score find_model models names",
        "loading": "load_config source",
        "weights": "default_weights weights_url",
    },
)
