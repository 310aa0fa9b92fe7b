"""The actor of one user's inbox on this node. It also ends the sockets of sessions that were revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable
from uuid import UUID

import msgspec

from feira.actors.mail import Watcher
from feira.actors.topic import TopicActor
from feira.platform.domain.events import LoggedEvent
from feira.platform.domain.ids import SessionId, UserId
from feira.platform.domain.topics import inbox_topic
from feira.platform.domain.user_events import SessionRevoked, VisibilityChanged
from feira.platform.runtime.announcer import ForwardMessage

if TYPE_CHECKING:
    from feira.actors.node import Node


@runtime_checkable
class SessionHolder(Protocol):
    """A watcher that lives only as long as its session."""

    @property
    def session_id(self) -> SessionId: ...

    @property
    def stream_id(self) -> UUID | None:
        """Its name, where its client says things by other ways than it hears them."""
        ...

    def forwarded(self, data: bytes) -> None:
        """Its client says this."""
        ...

    def end_session(self) -> None: ...

    def recheck_soon(self) -> None:
        """What its user may watch has changed."""
        ...


class InboxActor(TopicActor):
    """Every socket watches its user's inbox, whether or not its client asked to."""

    __slots__ = ("_node", "_user")

    def __init__(self, user: UserId, *, node: Node) -> None:
        super().__init__(inbox_topic(user), node.around)
        self._user = user
        self._node = node

    def watcher_left(self, watcher: Watcher) -> None:  # noqa: ARG002 - whoever it was
        if not self.watchers:
            self._node.last_seen.left(self._user)

    def forward(self, message: ForwardMessage) -> bool:
        """Hand messages to a stream of the same session; False when it is not on this node."""
        for watcher in self.watchers:
            if (
                isinstance(watcher, SessionHolder)
                and watcher.stream_id == message.stream
                and watcher.session_id == message.session
            ):
                watcher.forwarded(message.data)
                return True
        return False

    def events_delivered(self, events: list[LoggedEvent]) -> None:
        for event in events:
            # The text may stand in a notification too.
            if b"session.revoked" in bytes(event.body) and _kind(event) == "session.revoked":
                self._end_session(msgspec.json.decode(event.body, type=SessionRevoked).session)
            if b"rights.changed" in bytes(event.body) and _kind(event) == "rights.changed":
                self._recheck()
            if b"profile.visibility" in bytes(event.body) and _kind(event) == _VISIBILITY:
                changed = msgspec.json.decode(event.body, type=VisibilityChanged)
                self._node.show_presence(self._user, visible=changed.last_seen_visible)

    def _recheck(self) -> None:
        for watcher in self.watchers:
            if isinstance(watcher, SessionHolder):
                watcher.recheck_soon()

    def _end_session(self, session: SessionId) -> None:
        for watcher in list(self.watchers):
            if isinstance(watcher, SessionHolder) and watcher.session_id == session:
                watcher.end_session()


class _Tag(msgspec.Struct):
    kind: str


def _kind(event: LoggedEvent) -> str:
    return msgspec.json.decode(event.body, type=_Tag).kind


_VISIBILITY = "profile.visibility_changed"
