"""A comparison as people read it: a table in RESULTS.md, and bars in an SVG."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

import msgspec

from bench.report import REPOSITORY, circumstances, markdown_table, number

IMAGES: Final = REPOSITORY / "docs" / "images"
_WIDTH: Final = 860
_LABELS: Final = 250
_BAR: Final = 22
_GAP: Final = 8
_TOP: Final = 58
_KEEPS: Final = "#1f7a4d"
_FORGETS: Final = "#b8c0c8"


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One peer's value; `keeps` colours it."""

    label: str
    value: float
    keeps: bool


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Horizontal bars, in the order given."""

    file: str
    title: str
    unit: str
    bars: list[Bar]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What a scenario found: a table of which the first row is the head."""

    name: str
    what: str
    rows: list[list[str]]
    remarks: list[str]
    chart: Chart | None = None


def spread(values: Sequence[float]) -> str:
    """Write the median, and the extremes where there are several values."""
    middle = number(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({number(min(values))} - {number(max(values))})"


def render(
    comparison: Comparison, command: str, versions: Sequence[str], *, part: str = "live"
) -> str:
    """Return the comparison as Markdown."""
    remarks = [
        *comparison.remarks,
        *(f"measured: {version}" for version in versions),
        *circumstances(command),
    ]
    parts = [
        f"## {part}: {comparison.name}",
        comparison.what,
        markdown_table(comparison.rows),
        "\n".join(f"- {remark}" for remark in remarks),
    ]
    return "\n\n".join(parts) + "\n"


def write_chart(chart: Chart, folder: Path = IMAGES) -> None:
    """Draw the chart as a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / chart.file).write_text(draw(chart), encoding="utf-8")


def draw(chart: Chart) -> str:
    """Return the chart as SVG."""
    height = _TOP + len(chart.bars) * (_BAR + _GAP) + 14
    most = max(bar.value for bar in chart.bars)
    room = _WIDTH - _LABELS - 90
    style = 'font-family="system-ui, sans-serif" font-size="13"'
    legend = f'<tspan fill="{_KEEPS}">green: every message committed before its answer</tspan>'
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" {style}>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="14" y="24" font-size="16" font-weight="600">{escape(chart.title)}</text>',
        f'<text x="14" y="44" fill="#5b6570">{escape(chart.unit)}; {legend}</text>',
    ]
    for place, bar in enumerate(chart.bars):
        y = _TOP + place * (_BAR + _GAP)
        width = max(1.0, room * bar.value / most) if most else 1.0
        middle = y + _BAR * 0.7
        colour = _KEEPS if bar.keeps else _FORGETS
        drawn += [
            f'<text x="{_LABELS - 10}" y="{middle:.0f}" text-anchor="end">{escape(bar.label)}</text>',
            f'<rect x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="3" fill="{colour}"/>',
            f'<text x="{_LABELS + width + 8:.1f}" y="{middle:.0f}">{number(bar.value)}</text>',
        ]
    return "\n".join([*drawn, "</svg>"]) + "\n"
