"""What stands behind a figure: how sure it is, which errors cost it, and where they are."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "assignment": "Assignment assign",
        "bootstrap": "Difference Interval Statistic differences intervals",
        "oks_bootstrap": "WeightedEvaluation oks_statistic",
        "person_sums": "Sums person_statistics sums_of",
        "statistics": "Leaf leaves_of",
    },
)
