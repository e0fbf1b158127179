"""Counters in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import bisect
import itertools
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["CONTENT_TYPE", "Histogram", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_PICTURES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


class Histogram:
    """How often values came, by size.

    Args:
        bounds: upper ends of the classes, rising; what is larger counts as well.

    Example:
        >>> sizes = Histogram((1, 2))
        >>> sizes.add(2)
        >>> list(sizes.lines("size"))
        ['size_bucket{le="1"} 0', 'size_bucket{le="2"} 1', 'size_bucket{le="+Inf"} 1', \
'size_sum 2', 'size_count 1']
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect.bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str, labels: str = "") -> Iterator[str]:
        """Lines of the text; `labels` such as `route="/predict"`."""
        comma = "," if labels else ""
        totals = list(itertools.accumulate(self._counts))
        for bound, total in zip((*self._bounds, "+Inf"), totals, strict=True):
            end = bound if isinstance(bound, str) else f"{bound:g}"
            yield f'{name}_bucket{{{labels}{comma}le="{end}"}} {total}'
        braces = f"{{{labels}}}" if labels else ""
        yield f"{name}_sum{braces} {self._sum:g}"
        yield f"{name}_count{braces} {totals[-1]}"


class Metrics:
    """What a server counts; may be told from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._latency: dict[str, Histogram] = {}
        self._batches = Histogram(_PICTURES)
        self._people, self._work = 0, 0.0

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request; 499: its client went away."""
        with self._lock:
            self._requests[route, status] += 1
            self._latency.setdefault(route, Histogram(_SECONDS)).add(seconds)

    def batch(self, pictures: int, people: int, seconds: float) -> None:
        """Count a batch."""
        with self._lock:
            self._batches.add(pictures)
            self._people += people
            self._work += seconds

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """The whole page.

        Args:
            gauges: name -> (what it is, its value now).
        """
        with self._lock:
            return "\n".join([*self._lines(), *_gauge_lines(gauges), ""])

    def _lines(self) -> Iterator[str]:
        yield from _head("poise_requests_total", "counter", "Answered requests.")
        for (route, status), count in sorted(self._requests.items()):
            yield f'poise_requests_total{{route="{route}",status="{status}"}} {count}'
        yield from _head("poise_request_seconds", "histogram", "From first byte to answer.")
        for route, histogram in sorted(self._latency.items()):
            yield from histogram.lines("poise_request_seconds", f'route="{route}"')
        yield from _head("poise_batch_pictures", "histogram", "Pictures looked at together.")
        yield from self._batches.lines("poise_batch_pictures")
        yield from _head("poise_people_total", "counter", "People found.")
        yield f"poise_people_total {self._people}"
        yield from _head("poise_inference_seconds_total", "counter", "Time in the pipeline.")
        yield f"poise_inference_seconds_total {self._work:g}"


def _gauge_lines(gauges: Mapping[str, tuple[str, float]]) -> Iterator[str]:
    for name, (meaning, value) in gauges.items():
        yield from _head(name, "gauge", meaning)
        yield f"{name} {value:g}"


def _head(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"
