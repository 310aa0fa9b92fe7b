"""Reading many numbers: the middle, the tail, and how far repetitions lie apart."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import msgspec


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a figure. `least` and `most` are the extremes of the repetitions' medians.

    `p99` is that of all samples together; None where there are too few of them to have one.
    """

    measure: str
    unit: str
    median: float
    p99: float | None
    least: float
    most: float
    samples: int


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile: a value that was really measured."""
    assert values, "nothing was measured"
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def line_of(measure: str, unit: str, repetitions: Sequence[Sequence[float]]) -> Line:
    """Sum up repetitions of many samples each; the median is that of the repetitions' medians."""
    medians = [statistics.median(samples) for samples in repetitions]
    every = [value for samples in repetitions for value in samples]
    return Line(
        measure=measure,
        unit=unit,
        median=statistics.median(medians),
        p99=percentile(every, 0.99) if len(every) >= _SAMPLES_FOR_P99 else None,
        least=min(medians),
        most=max(medians),
        samples=len(every),
    )


def line_of_results(measure: str, unit: str, results: Sequence[float]) -> Line:
    """Sum up repetitions that gave one number each."""
    return line_of(measure, unit, [[result] for result in results])


_SAMPLES_FOR_P99 = 100
