"""Times of what stands behind a figure: intervals by drawing pictures anew, and the breakdown.

    python benchmarks/evaluation.py [--resamples 1000] [--quick]

Annotations and predictions are those of `benchmarks/metrics.py`. CPU seconds on one thread: of one
evaluation (without reading the file), of the intervals of all its figures, of as many evaluations
as there are draws (one, times their number), and of telling errors apart with the gains of ten
ways of mending. A draw gives the figures of the metric itself; tests compare the two.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.metrics import prepared
from poise import metrics
from poise.metrics.analysis import breakdown_tables, intervals, leaves_of

NAMES = (
    "coco 5,000 images, 13,000 poses",
    "coco 5,000 images, 104,000 poses",
    "crowdpose 5,000 images, 30,000 poses",
    "wholebody 5,000 images, 13,000 poses",
    "PCK 20,000 poses",
    "AUC 20,000 poses",
)


def timed(function):
    """(CPU seconds, what the function gave)."""
    start = time.process_time()
    value = function()
    return time.process_time() - start, value


def fed(case, folder):
    """A metric that saw all samples of a case, as its leaf, and their number."""
    name, options, meta, samples = prepared(case, folder)
    metric = getattr(metrics, name)(**options)
    metric.dataset_meta = dict(meta)
    (leaf,) = leaves_of(metric, meta)
    for sample in samples:
        metric.process(None, [sample])
        leaf.take(sample["img_id"], sample["id"])
    leaf.close()
    return leaf, len(samples)


def row_of(case, folder, resamples):
    """A line of the table."""
    leaf, number = fed(case, folder)
    once, _ = timed(lambda: leaf.metric.evaluate(number))
    # matching belongs to the intervals
    drawn, _ = timed(lambda: intervals(leaf.statistic(), resamples=resamples))
    row = f"{case:40}{once:12.3f}{drawn:12.2f}{once * resamples:14.0f}"
    if leaf.is_oks:
        row += f"{timed(lambda: breakdown_tables(leaf))[0]:12.2f}"
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="the first case and the last two")
    args = parser.parse_args()
    names = [NAMES[0], *NAMES[-2:]] if args.quick else NAMES
    naive = f"{args.resamples:,} times"
    print(f"{'CPU seconds':40}{'one':>12}{'intervals':>12}{naive:>14}{'breakdown':>12}")
    with tempfile.TemporaryDirectory() as folder:
        for case in names:
            print(row_of(case, Path(folder), args.resamples), flush=True)


if __name__ == "__main__":
    main()
