"""What the actors and the fan-out count, by kind of actor."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

ACTIVE: Final = Gauge("feira_actors_active", "Actors in memory", ["kind"])
ACTIVATIONS: Final = Counter("feira_actors_activations", "Actors brought to life", ["kind"])
PASSIVATIONS: Final = Counter("feira_actors_passivations", "Actors put away while idle", ["kind"])
RESTARTS: Final = Counter(
    "feira_actors_restarts", "Actors that crashed and forgot their state", ["kind"]
)
OVERFLOWS: Final = Counter("feira_actors_overflows", "Mail refused by a full mailbox", ["kind"])
BATCH_SIZE: Final = Histogram(
    "feira_actors_batch_size",
    "Mail handled in one turn",
    ["kind"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
GAP_REFETCHES: Final = Counter(
    "feira_topics_gap_refetches", "Times a missing event was read from Postgres", ["kind"]
)
EVENTS_DELIVERED: Final = Counter(
    "feira_topics_events_delivered", "Events handed to local watchers", ["kind"]
)
COMMIT_MESSAGES: Final = Histogram(
    "feira_group_commit_messages",
    "Chat messages committed in one statement",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
POSTS_REFUSED: Final = Counter(
    "feira_group_commit_refused", "Chat messages refused because too many were waiting"
)
