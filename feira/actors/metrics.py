"""What the actors, the fan-out and the group commit count."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from feira.platform.domain.topics import TopicKind

_ACTIVE: Final = Gauge("feira_actors_active", "Actors in memory", ["kind"])
_WATCHERS: Final = Gauge("feira_actors_watchers", "Watches of local sockets", ["kind"])
_ACTIVATIONS: Final = Counter("feira_actors_activations", "Actors brought to life", ["kind"])
_PASSIVATIONS: Final = Counter("feira_actors_passivations", "Actors put away while idle", ["kind"])
_RESTARTS: Final = Counter(
    "feira_actors_restarts", "Actors that crashed and forgot their state", ["kind"]
)
_OVERFLOWS: Final = Counter("feira_actors_overflows", "Mail refused by a full mailbox", ["kind"])
_DROPPED: Final = Counter(
    "feira_actors_ephemerals_dropped",
    "Passing things (typing, presence) dropped by busy actors",
    ["kind"],
)
_MAIL_AGE: Final = Histogram(
    "feira_actors_mail_age_seconds",
    "How long the oldest mail of a turn had waited",
    ["kind"],
    buckets=(0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
)
_BATCH_SIZE: Final = Histogram(
    "feira_actors_batch_size",
    "Mail handled in one turn",
    ["kind"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
_TURN_DURATION: Final = Histogram(
    "feira_actors_turn_duration_seconds",
    "How long a turn took",
    ["kind"],
    buckets=(0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30),
)
_GAP_REFETCHES: Final = Counter(
    "feira_topics_gap_refetches", "Times a missing event was read from Postgres", ["kind"]
)
_EVENTS_DELIVERED: Final = Counter(
    "feira_topics_events_delivered", "Events handed to local watchers", ["kind"]
)
MAILBOX_DEPTH: Final = Gauge(
    "feira_actors_mailbox_depth", "Mail that waits in all boxes, a few seconds ago"
)
COMMIT_MESSAGES: Final = Histogram(
    "feira_group_commit_messages",
    "Chat messages committed in one statement",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
POSTS_REFUSED: Final = Counter(
    "feira_group_commit_refused", "Chat messages refused because too many were waiting"
)
BUS_ECHO: Final = Histogram(
    "feira_bus_echo_seconds",
    "How long this node's own messages took to come back to it over the bus, by its own clock",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class KindMetrics:
    """The children of one kind: looking one up costs several times what counting does."""

    active: Gauge
    watchers: Gauge
    activations: Counter
    passivations: Counter
    restarts: Counter
    overflows: Counter
    dropped: Counter
    mail_age: Histogram
    batch_size: Histogram
    turn_duration: Histogram
    gap_refetches: Counter
    events_delivered: Counter


@cache
def of_kind(kind: TopicKind) -> KindMetrics:
    return KindMetrics(
        active=_ACTIVE.labels(kind),
        watchers=_WATCHERS.labels(kind),
        activations=_ACTIVATIONS.labels(kind),
        passivations=_PASSIVATIONS.labels(kind),
        restarts=_RESTARTS.labels(kind),
        overflows=_OVERFLOWS.labels(kind),
        dropped=_DROPPED.labels(kind),
        mail_age=_MAIL_AGE.labels(kind),
        batch_size=_BATCH_SIZE.labels(kind),
        turn_duration=_TURN_DURATION.labels(kind),
        gap_refetches=_GAP_REFETCHES.labels(kind),
        events_delivered=_EVENTS_DELIVERED.labels(kind),
    )
