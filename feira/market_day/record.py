"""What happened, as everybody saw it: the day's only evidence, kept by the clients themselves."""

from __future__ import annotations

import statistics
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from feira.client.topic_log import Event


@dataclass(frozen=True, kw_only=True)
class Acknowledged:
    """A message that the server said is committed."""

    conversation: str
    seq: int
    client_id: str
    sender: str


@dataclass
class Log:
    """What one client was handed on one topic."""

    events: list[Event] = field(default_factory=list[Event])
    gaps: list[int] = field(default_factory=list[int])

    @property
    def seqs(self) -> list[int]:
        return [event.seq for event in self.events]


@dataclass
class Record:
    """The day's counters, latencies and logs."""

    acknowledged: list[Acknowledged] = field(default_factory=list[Acknowledged])
    sent: int = 0
    # (person, topic) -> what they were handed.
    logs: dict[tuple[str, str], Log] = field(default_factory=lambda: defaultdict(Log))
    members: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    imported: dict[str, int] = field(default_factory=dict[str, int])
    """Pieces put on stalls, by variant."""
    counts: Counter[str] = field(default_factory=Counter[str])
    latencies_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    problems: list[str] = field(default_factory=list[str])
    _sent_at: dict[str, float] = field(default_factory=dict[str, float])
    _commanded_at: dict[tuple[str, str], float] = field(
        default_factory=dict[tuple[str, str], float]
    )

    def sending(self, client_id: str) -> float:
        """A message leaves somebody's hands."""
        self.sent += 1
        now = self._sent_at[client_id] = time.perf_counter()
        return now

    def commanding(self, order: str, event: str) -> None:
        """A command leaves whose effect others will see as `event`."""
        self._commanded_at[order, event] = time.perf_counter()

    def handed(self, person: str, event: Event) -> None:
        """Somebody was handed an event."""
        self.logs[person, event.topic].events.append(event)
        now = time.perf_counter()
        body: dict[str, Any] = event.body
        if body["kind"] == "message" and body["sender"] != person:
            sent_at = self._sent_at.get(body["client_id"])
            if sent_at is not None:
                self.latencies_s["message: sent to delivered"].append(now - sent_at)
        elif body["kind"].startswith("order."):
            commanded_at = self._commanded_at.pop((str(body.get("order")), body["kind"]), None)
            if commanded_at is not None:
                what = (
                    "payment: page to push"
                    if body["kind"] == "order.paid"
                    else "order: command to push"
                )
                self.latencies_s[what].append(now - commanded_at)

    def took(self, what: str, seconds: float) -> None:
        self.latencies_s[what].append(seconds)


def percentiles_ms(seconds: list[float]) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    if len(seconds) < 2:  # noqa: PLR2004 - nothing to cut
        return (seconds[0] * 1000, seconds[0] * 1000) if seconds else (0.0, 0.0)
    return statistics.median(seconds) * 1000, statistics.quantiles(seconds, n=100)[98] * 1000
