"""Stripe's Unix seconds and our UTC times."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(unix_s: int) -> datetime:
    return datetime.fromtimestamp(unix_s, UTC)


def unix_s(at: datetime) -> int:
    """Rounded down: lists `since` then include all that was made in that second."""
    return int(at.timestamp())
