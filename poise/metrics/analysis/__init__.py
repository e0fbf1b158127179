"""What stands behind a figure: how sure it is, which errors cost it, and where they are."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "assignment": "Assignment assign",
        "bootstrap": "Difference Interval Statistic differences intervals",
        "diagnosis": "Diagnosis diagnose gains mended",
        "person_sums": "Sums person_statistics sums_of",
        "posetrack_bootstrap": "posetrack_statistics",
        "sigmas": "Sigma mean_sigmas repeated_distances robust_sigmas",
        "slices": "Groups People slice_people",
        "tables": "Table breakdown_tables by_table",
        "statistics": "Leaf leaves_of",
        "worst": "Worst WorstCases worst_of",
    },
)
