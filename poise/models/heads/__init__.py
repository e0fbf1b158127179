"""Heads: features -> outputs, losses, predicted instances."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "base": "BaseHead",
        "cpm": "CPMHead",
        "heatmap": "HeatmapHead",
        "integral": "DSNTHead IntegralRegressionHead",
        "mspn": "MSPNHead",
        "regression": "RLEHead RegressionHead",
        "rtmcc": "RTMCCHead RTMWHead",
        "simcc": "SimCCHead",
        "vipnas": "ViPNASHead",
    },
)
