"""Jobs as text: tables for terminals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

_KINDS: Final = ("kind", "", "ready", "queued", "running", "done/min", "dead", "oldest", "")
_JOBS: Final = ("job", "kind", "state", "attempt", "since", "last error")
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


class Kind(msgspec.Struct, kw_only=True):
    """What `/v1/operations/jobs/kinds` says of one."""

    kind: str
    priority: str
    ready: int
    queued: int
    running: int
    done_last_minute: int
    dead: int
    oldest_due_s: float | None
    concurrency_max: int | None
    pause_reason: str | None


class Job(msgspec.Struct, kw_only=True):
    """What `/v1/operations/jobs` says of one."""

    id: str
    kind: str
    state: str
    attempt: int
    attempts_max: int
    since: datetime
    last_error: str | None


def kinds_table(kinds: Sequence[Kind], *, columns: int) -> str:
    """Kinds with something to say, those in trouble first; the rest is a number."""
    busy = [kind for kind in kinds if _is_busy(kind)]
    busy.sort(key=lambda kind: (-kind.dead, kind.pause_reason is None, -(kind.oldest_due_s or 0)))
    rows = [
        (
            kind.kind,
            kind.priority,
            f"{kind.ready}",
            f"{kind.queued}",
            _of(kind.running, kind.concurrency_max),
            f"{kind.done_last_minute}",
            f"{kind.dead}",
            "" if kind.oldest_due_s is None else age(kind.oldest_due_s),
            "" if kind.pause_reason is None else f"PAUSED: {kind.pause_reason}",
        )
        for kind in busy
    ]
    waiting = sum(kind.ready + kind.queued for kind in kinds)
    head = (
        f"{waiting} waiting, {sum(kind.running for kind in kinds)} running,"
        f" {sum(kind.done_last_minute for kind in kinds) / _MINUTE_S:.1f} done/s,"
        f" {sum(kind.dead for kind in kinds)} dead; {len(kinds) - len(busy)} kinds idle"
    )
    return "\n".join([head, *_table((_KINDS, *rows), left={0, 1, 8}, columns=columns)])


def jobs_table(jobs: Sequence[Job], *, columns: int) -> str:
    """Jobs, a line each, cut to the terminal."""
    rows = [
        (
            job.id,
            job.kind,
            job.state,
            f"{job.attempt}/{job.attempts_max}",
            f"{job.since:%Y-%m-%d %H:%M:%S}",
            job.last_error or "",
        )
        for job in jobs
    ]
    return "\n".join(_table((_JOBS, *rows), left={0, 1, 2, 4, 5}, columns=columns))


def job_lines(job: dict[str, Any]) -> str:
    """One job whole, uncut: its fields, then an attempt a line."""
    failures = job.pop("failures")
    width = max(map(len, job))
    lines = [f"{name.ljust(width)}  {value}" for name, value in job.items() if value is not None]
    lines += [
        f"attempt {failure['attempt']} {failure['outcome']} at {failure['ended_at']}"
        f" on {failure['worker'] or 'nobody knows where'}: {failure['error']}"
        for failure in failures
    ]
    return "\n".join(lines)


def age(seconds: float) -> str:
    """As people say it: 4 s, 12 min, 3 h, 5 d."""
    if seconds < _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    if seconds < _DAY_S:
        return f"{seconds / _HOUR_S:.0f} h"
    return f"{seconds / _DAY_S:.0f} d"


def _is_busy(kind: Kind) -> bool:
    counts = (kind.ready, kind.queued, kind.running, kind.done_last_minute, kind.dead)
    return any(counts) or kind.pause_reason is not None


def _of(count: int, most: int | None) -> str:
    return f"{count}" if most is None else f"{count} of {most}"


def _table(rows: Sequence[Sequence[str]], *, left: set[int], columns: int) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )[:columns].rstrip()
        for row in rows
    ]
