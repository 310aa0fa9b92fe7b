"""The actor of one user's inbox on this node. It also ends the sockets of sessions that were revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from feira.actors.topic import TopicActor
from feira.platform.domain.events import LoggedEvent
from feira.platform.domain.ids import SessionId, UserId
from feira.platform.domain.topics import inbox_topic
from feira.platform.domain.user_events import SessionRevoked

if TYPE_CHECKING:
    from feira.actors.node import Node


@runtime_checkable
class SessionHolder(Protocol):
    """A watcher that lives only as long as its session."""

    @property
    def session_id(self) -> SessionId: ...

    def end_session(self) -> None: ...


class InboxActor(TopicActor):
    """Every socket watches its user's inbox, whether or not its client asked to."""

    def __init__(self, user: UserId, *, node: Node) -> None:
        super().__init__(inbox_topic(user), database=node.database, bus=node.bus, tasks=node.tasks)

    def events_delivered(self, events: list[LoggedEvent]) -> None:
        for event in events:
            if b"session.revoked" not in bytes(event.body):
                continue
            revoked = msgspec.json.decode(event.body, type=SessionRevoked)
            for watcher in list(self.watchers):
                if isinstance(watcher, SessionHolder) and watcher.session_id == revoked.session:
                    watcher.end_session()
