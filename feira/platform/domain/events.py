"""What a topic's log carries: past-tense facts, one struct each, told apart on the wire by `kind`."""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.topics import Topic


class Event(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True
):
    """Base of every event. Subclasses set `tag="order.shipped"` and live beside the rules of their service."""


class LoggedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One committed entry of a topic's log, as the bus and the sockets carry it.

    `body` is the event's JSON, encoded once where it was committed.
    """

    seq: int
    at: datetime
    body: msgspec.Raw


class TopicBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive committed events of one topic, in order, as one transaction made them."""

    topic: Topic
    epoch: str
    events: list[LoggedEvent]
