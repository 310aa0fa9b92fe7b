"""Pushed messages, encoded once per encoding however many watchers they go to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from feira.platform.domain.events import LoggedEvent
from feira.platform.domain.topics import Topic

Encoding = Literal["json", "msgpack"]

_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()


class Frame(msgspec.Struct, gc=False):
    """So many encoded messages, ready to be joined with others: JSON by line feeds, MessagePack back to back."""

    data: bytes
    messages: int
    framed: bytes | None = None
    """The same as it leaves the socket when it leaves alone: made by the first of a thousand, used by all."""


def encode_message(message: object, encoding: Encoding) -> Frame:
    """Encode one message of the protocol."""
    if encoding == "json":
        return Frame(_json.encode(message), 1)
    # Bodies are kept as JSON text; MessagePack clients get them as real maps.
    return Frame(_msgpack.encode(msgspec.json.decode(_json.encode(message))), 1)


def _encode_all(messages: Iterable[object], encoding: Encoding) -> Frame:
    frames = [encode_message(message, encoding) for message in messages]
    separator = b"\n" if encoding == "json" else b""
    return Frame(separator.join(frame.data for frame in frames), len(frames))


class PushFrames:
    """Messages that are pushed together."""

    __slots__ = ("_encoded", "_messages")

    def __init__(self, *messages: object) -> None:
        self._messages = messages
        self._encoded: dict[Encoding, Frame] = {}

    def encoded(self, encoding: Encoding) -> Frame:
        frame = self._encoded.get(encoding)
        if frame is None:
            frame = self._encoded[encoding] = _encode_all(self._messages, encoding)
        return frame


class EventFrames:
    """Consecutive events of a topic."""

    __slots__ = ("_encoded", "_events", "_topic")

    def __init__(self, topic: Topic, events: list[LoggedEvent]) -> None:
        self._topic = str(topic)
        self._events = events
        self._encoded: dict[Encoding, Frame] = {}

    def encoded(self, encoding: Encoding) -> Frame:
        frame = self._encoded.get(encoding)
        if frame is None:
            frame = self._encoded[encoding] = _encode_all(
                map(self._message, self._events), encoding
            )
        return frame

    def _message(self, event: LoggedEvent) -> dict[str, Any]:
        return {
            "event": {"topic": self._topic, "seq": event.seq, "at": event.at, "body": event.body}
        }
