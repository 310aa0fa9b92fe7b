"""What topic actors are told, and by whom."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

import msgspec

from feira.actors.frames import Encoding, Frame, PushFrames
from feira.platform.domain.events import LoggedEvent, TopicBatch
from feira.platform.domain.ids import UserId
from feira.platform.domain.topics import Topic
from feira.sql.topics import TopicHead


class Watcher(Protocol):
    """Somebody who watches topics from this node: a socket's session."""

    @property
    def encoding(self) -> Encoding: ...

    @property
    def user_id(self) -> UserId: ...

    def push(self, frame: Frame) -> None:
        """Queue encoded messages; never blocks, never raises."""
        ...

    def resync(self, topic: Topic) -> None:
        """The topic's log was rebuilt, or too much is missing: subscribe anew and reload."""
        ...

    def lose(self, topic: Topic) -> None:
        """The right to watch the topic is gone."""
        ...


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far a client has seen a topic."""

    seq: int
    epoch: str


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """What a new watcher starts from. Not `recovered`: too much was missed, reload through history."""

    recovered: bool
    seq: int
    epoch: str
    events: list[LoggedEvent]
    state: dict[str, object]


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Begin to watch from a position (or from now) and say what was missed."""

    watcher: Watcher
    position: Position | None
    answer: asyncio.Future[Subscription]


@dataclass(frozen=True, slots=True)
class Committed:
    """Consecutive events that are in the log."""

    batch: TopicBatch


@dataclass(frozen=True, slots=True)
class CheckHead:
    """The log's last position as Postgres has it; None asks the actor to look itself."""

    head: TopicHead | None


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """Something that passes by and is never stored."""

    frames: PushFrames
    origin: UserId | None


TopicMail = Subscribe | Committed | CheckHead | Ephemeral
