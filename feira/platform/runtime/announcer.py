"""Telling every node what was committed: this process's own watchers at once, the others over the bus."""

from __future__ import annotations

import secrets
import struct
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from feira.platform.domain.events import LoggedEvent, TopicBatch
from feira.platform.domain.ids import UserId
from feira.platform.domain.topics import Topic
from feira.platform.runtime.bus import Bus


class EventsMessage(msgspec.Struct, frozen=True, array_like=True, tag="events"):
    """On the bus: consecutive committed events of the channel's topic. Bodies are JSON text."""

    epoch: str
    events: list[tuple[int, datetime, bytes]]

    def batch(self, topic: Topic) -> TopicBatch:
        events = [
            LoggedEvent(seq=seq, at=at, body=msgspec.Raw(body)) for seq, at, body in self.events
        ]
        return TopicBatch(topic=topic, epoch=self.epoch, events=events)


class EphemeralMessage(msgspec.Struct, frozen=True, array_like=True, tag="ephemeral"):
    """On the bus: a protocol message (JSON) that is never stored. `origin` need not hear of it."""

    origin: UUID | None
    message: bytes


class PresenceMessage(msgspec.Struct, frozen=True, array_like=True, tag="presence"):
    """On the bus: somebody came to the channel's topic or went; who is there now is in Redis."""


class ForwardMessage(msgspec.Struct, frozen=True, array_like=True, tag="forward"):
    """On the bus, on a user's inbox: messages (JSON) of a session for a stream that is open on another node."""

    stream: UUID
    session: UUID
    data: bytes


BusMessage = EventsMessage | EphemeralMessage | PresenceMessage | ForwardMessage
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[BusMessage] = msgspec.msgpack.Decoder(BusMessage)


# Every payload begins with its node's mark, so that a node recognises its own without decoding them, and with
# the time by that node's monotonic clock, which means nothing to others.
_MARK_BYTES: Final = 8
_HEAD: Final = struct.Struct(f"<{_MARK_BYTES}sd")


def decode_bus_message(payload: bytes) -> BusMessage:
    """Decode what a node published.

    Raises:
        msgspec.MsgspecError: not a message of this version.
    """
    return _decoder.decode(payload[_HEAD.size :])


class Announcer:
    """One a process; the database calls it after every commit."""

    def __init__(self, bus: Bus, node_name: str) -> None:
        self._bus = bus
        self._mark = secrets.token_bytes(_MARK_BYTES)
        # Names may be given twice by mistake; who is present where must not depend on them.
        self.node_name = f"{node_name}/{secrets.token_hex(4)}"
        self._hear_locally: Callable[[TopicBatch], None] | None = None
        self._hear_passing: Callable[[Topic, object], None] | None = None

    def own_age_s(self, payload: bytes) -> float | None:
        """How long ago this node published it; None if another did."""
        if not payload.startswith(self._mark):
            return None
        sent_at: float = _HEAD.unpack_from(payload)[1]
        return time.monotonic() - sent_at

    def hear_locally(
        self, hear: Callable[[TopicBatch], None], passing: Callable[[Topic, object], None]
    ) -> None:
        """Have this process's own actors told without the detour: of events, and of what passes by."""
        self._hear_locally = hear
        self._hear_passing = passing

    def announce(self, batches: list[TopicBatch]) -> None:
        """Tell everybody of committed events. Never before the commit, never blocking."""
        for batch in batches:
            if self._hear_locally is not None:
                self._hear_locally(batch)
            self.announce_elsewhere(batch)

    def announce_elsewhere(self, batch: TopicBatch) -> None:
        """Tell the other nodes."""
        events = [(event.seq, event.at, bytes(event.body)) for event in batch.events]
        message = EventsMessage(epoch=batch.epoch, events=events)
        self._publish(batch.topic, message)

    def tell(self, topic: Topic, message: object) -> None:
        """Tell everybody something that passes by."""
        if self._hear_passing is not None:
            self._hear_passing(topic, message)
        self.announce_ephemeral(topic, message)

    def announce_ephemeral(
        self, topic: Topic, message: object, *, origin: UserId | None = None
    ) -> None:
        """Tell the other nodes something that passes by."""
        wire = EphemeralMessage(origin=origin, message=msgspec.json.encode(message))
        self._publish(topic, wire)

    def ring_presence(self, topic: Topic) -> None:
        """Tell the other nodes that who is there has changed."""
        self._publish(topic, PresenceMessage())

    def forward(self, topic: Topic, message: ForwardMessage) -> None:
        """Hand messages to the node that has the stream."""
        self._publish(topic, message)

    def _publish(self, topic: Topic, message: BusMessage) -> None:
        head = _HEAD.pack(self._mark, time.monotonic())
        self._bus.publish(str(topic), head + _encoder.encode(message))
