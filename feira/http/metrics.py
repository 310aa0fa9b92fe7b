"""What the HTTP edge counts, by route template. Label children are looked up once, then kept."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

IN_FLIGHT: Final = Gauge("feira_http_requests_in_flight", "Requests being answered")
REQUESTS: Final = Counter("feira_http_requests", "Answered requests", ("method", "route", "status"))
DURATIONS: Final = Histogram(
    "feira_http_request_duration_seconds",
    "Seconds from a request's head to its answer",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0),
)

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_counters: Final[dict[tuple[str, str, int], Counter]] = {}
_histograms: Final[dict[tuple[str, str], Histogram]] = {}


def observe(method: str, route: str, status: int, duration_s: float) -> None:
    """Count one answered request."""
    # Anybody may send any method: unknown ones share a label.
    method = method if method in _METHODS else "other"
    counter = _counters.get((method, route, status))
    if counter is None:
        counter = _counters[method, route, status] = REQUESTS.labels(method, route, status)
    counter.inc()
    histogram = _histograms.get((method, route))
    if histogram is None:
        histogram = _histograms[method, route] = DURATIONS.labels(method, route)
    histogram.observe(duration_s)
