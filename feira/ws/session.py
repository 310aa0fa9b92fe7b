r"""One client on one socket: signs in, watches topics, and has its commands carried out in order.

opened --connect(token)--> connected --close--> closed
   \--5 s without it--> closed
"""

from __future__ import annotations

import time
from collections.abc import Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

import structlog

from feira.actors.frames import Encoding, Frame, PushFrames
from feira.actors.mail import Position, Subscription
from feira.platform.domain.audit import Origin
from feira.platform.domain.errors import (
    Conflict,
    FeiraError,
    InvalidInput,
    NotFound,
    NotSignedIn,
    TooMany,
    Unavailable,
)
from feira.platform.domain.ids import SessionId, UserId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import Topic, inbox_topic, parse_topic
from feira.services.users.authentication import authenticate, recall
from feira.services.watching import require_watch
from feira.ws import metrics
from feira.ws.close_codes import CloseCode
from feira.ws.commands import Commands, conversation_of, rate_limited
from feira.ws.limits import REFUSALS_MAX, TokenBucket
from feira.ws.line import Line
from feira.ws.messages import Done, ErrorBody, Refreshed, Unsubscribed
from feira.ws.protocol import (
    Connect,
    Incoming,
    MalformedFrame,
    OnTopic,
    Ping,
    Refresh,
    Send,
    SubscribeTo,
    decode_frame,
    subscription_body,
)

if TYPE_CHECKING:
    from feira.ws.server import SocketServer

log = structlog.get_logger("feira.ws")

REFRESH_WITHIN_S: Final = 25.0
TOPICS_MAX: Final = 500
UNAVAILABLE_RETRY_MS: Final = (500, 3_000)

# Why a token was refused decides whether coming back with a newer one helps.
_REFUSED: Final = {
    "auth.token_expired": CloseCode.TOKEN_EXPIRED,
    "auth.session_revoked": CloseCode.SESSION_ENDED,
    "auth.suspended": CloseCode.SESSION_ENDED,
    "socket.not_connected": CloseCode.NOT_SIGNED_IN,
}


class Session:
    """A `topic.Watcher` and an `inbox.SessionHolder`."""

    def __init__(self, server: SocketServer, connection: Line, origin: Origin) -> None:
        self._server = server
        self._origin = origin
        self._node = server.node
        self._market = server.market
        self.connection: Final = connection
        self.encoding: Encoding = connection.encoding
        self._principal: Principal | None = None
        self._token_expires_at: datetime | None = None
        self._topics: dict[Topic, None] = {}
        self._commands = Commands(
            self._market, self._node, encoding=self.encoding, push=self.push, watched=self._topics
        )
        limits = server.limits
        self._bucket = TokenBucket(limits.messages_per_s, limits.messages_burst)
        self._refusals = 0
        self._is_connecting = False
        self._opened_at = time.monotonic()

    @property
    def user_id(self) -> UserId:
        assert self._principal is not None, "only who is signed in watches"
        return self._principal.user_id

    @property
    def session_id(self) -> SessionId:
        assert self._principal is not None, "only who is signed in watches"
        return self._principal.session_id

    @property
    def stream_id(self) -> UUID | None:
        return self.connection.stream_id

    # What actors call.

    def push(self, frame: Frame) -> None:
        self.connection.push(frame)

    def resync(self, topic: Topic) -> None:
        self._unsubscribed(topic, "resync")

    def lose(self, topic: Topic) -> None:
        self._unsubscribed(topic, "rights lost")

    def forwarded(self, data: bytes) -> None:
        self.connection.take_message(data)

    def end_session(self) -> None:
        self.connection.close(CloseCode.SESSION_ENDED)

    def recheck_soon(self) -> None:
        self._server.tasks.start(self.recheck(), name="ws-recheck")

    async def recheck(self) -> None:
        """Ask anew whether the session lives and what it may watch, and end what it may not."""
        if self._principal is None or not self.connection.is_open:
            return
        lost: list[Topic] = []
        try:
            async with self._market.database.connection() as con:
                principal = await recall(con, self.user_id, self.session_id, self._origin)
                for topic in list(self._topics):
                    try:
                        await require_watch(con, principal, topic)
                    except NotFound:
                        lost.append(topic)
        except NotSignedIn:
            self.end_session()
            return
        except FeiraError as error:
            log.warning("recheck_failed", error=error.code)
            return
        self._principal = principal
        for topic in lost:
            if topic in self._topics:
                self._node.unsubscribe(topic, self)
                self.lose(topic)

    # What the server calls.

    def tick(self, now: float, at: datetime) -> None:
        """From time to time: time limits."""
        if self._token_expires_at is None:
            is_late = now - self._opened_at > self._server.limits.connect_within_s
            if is_late and not self._is_connecting:
                self.connection.close(CloseCode.CONNECT_TIMEOUT)
        elif (at - self._token_expires_at).total_seconds() > REFRESH_WITHIN_S:
            self.connection.close(CloseCode.TOKEN_EXPIRED)
        self.connection.tick(now)

    # What the connection calls.

    def left(self) -> None:
        """The socket is gone."""
        self._server.left(self)
        self._unwatch()

    def receive(self, data: bytes) -> Coroutine[Any, Any, None] | None:
        """Carry out a frame's messages in order; from the first that has to wait on, they are left to be awaited."""
        try:
            incoming = decode_frame(data, self.encoding)
        except MalformedFrame as error:
            log.info("ws_malformed_frame", error=str(error))
            self.connection.close(CloseCode.BAD_REQUEST)
            return None
        for at, message in enumerate(incoming):
            # By far the most frequent, and no task is needed: the commit answers it.
            if not isinstance(message.command, Send) or message.command.reply_to is not None:
                return self._handle_all(incoming[at:])
            if self._admits(message):
                try:
                    self._commands.send(self._require_principal(), message.id, message.command)
                except FeiraError as error:
                    self._refuse_command(message, error)
        return None

    # Commands.

    async def _handle_all(self, incoming: list[Incoming]) -> None:
        for message in incoming:
            if not self._admits(message):
                continue
            try:
                await self._carry_out(message)
            except FeiraError as error:
                self._refuse_command(message, error)

    def _admits(self, message: Incoming) -> bool:
        if self.connection.is_closed_by_us:
            return False
        refusing = self._refusing_bucket()
        if refusing is not None:
            self._refusals += 1
            if self._refusals > REFUSALS_MAX:
                self.connection.close(CloseCode.RATE_LIMITED)
            else:
                self._commands.refuse(message.id, rate_limited(refusing))
            return False
        self._refusals = 0
        metrics.commands(message.name or "malformed").inc()
        return True

    def _refusing_bucket(self) -> TokenBucket | None:
        if not self._bucket.take():
            return self._bucket
        if self._principal is None:
            return None
        shared = self._server.rates.of(self._principal.user_id)
        return None if shared.take() else shared

    def _refuse_command(self, message: Incoming, error: FeiraError) -> None:
        self._commands.refuse(message.id, error)
        if self._principal is None:
            self._close_unconnected(error)

    def _close_unconnected(self, error: FeiraError) -> None:
        """A socket that did not get in is of no use; its client learns whether to come back."""
        if error.retryable or isinstance(error, Conflict):
            self.connection.close(CloseCode.UNAVAILABLE, retry_ms=UNAVAILABLE_RETRY_MS)
        elif isinstance(error, NotSignedIn):
            self.connection.close(_REFUSED.get(error.code, CloseCode.BAD_TOKEN))
        else:
            self.connection.close(CloseCode.BAD_REQUEST)

    async def _carry_out(self, message: Incoming) -> None:
        match message.command:
            case FeiraError() as error:
                raise error
            case Connect() as command:
                await self._connect(message.id, command)
            case Ping():
                self._commands.answer(message.id, "ok", Done())
            case SubscribeTo() as command:
                principal = self._require_principal()
                topic = parse_topic(command.topic)
                subscription = await self._subscribe(principal, topic, command.position())
                body = {"topic": str(topic)} | subscription_body(subscription)
                self._commands.answer(message.id, "subscribe", body)
            case OnTopic() as command if message.name == "unsubscribe":
                self._unsubscribe(self._require_principal(), parse_topic(command.topic))
                self._commands.answer(message.id, "ok", Done())
            case OnTopic() as command:
                self._node.typing(self._require_principal(), conversation_of(command.topic))
            case Refresh() as command:
                await self._refresh(self._require_principal(), message.id, command)
            case _:
                await self._commands.carry_out(self._require_principal(), message)

    async def _connect(self, identifier: int | None, command: Connect) -> None:
        if self._principal is not None:
            raise InvalidInput(
                "socket.connected_already",
                "This socket is connected; send refresh for a new token.",
            )
        self._is_connecting = True
        async with self._server.arrivals:
            topics = await self._enter(command)
        self._commands.answer(
            identifier,
            "connect",
            {
                "session": self.session_id,
                "user": self.user_id,
                "ping": self._server.limits.ping_every_s,
                "expires_at": self._token_expires_at,
                "topics": topics,
            },
        )

    async def _enter(self, command: Connect) -> dict[str, dict[str, Any]]:
        signed_in = await authenticate(self._market, command.token, self._origin)
        resume = {parse_topic(name): seen.position() for name, seen in command.resume.items()}
        self._principal = signed_in.principal
        self._token_expires_at = signed_in.expires_at
        inbox = inbox_topic(signed_in.principal.user_id)
        try:
            if inbox not in resume:
                await self._watch(inbox, None)
            return await self._resume(signed_in.principal, resume)
        except FeiraError:
            # Not half-connected: the client tries again from the start.
            self._unwatch()
            self._principal = None
            raise

    async def _resume(
        self, principal: Principal, resume: dict[Topic, Position | None]
    ) -> dict[str, dict[str, Any]]:
        """The topics of a `connect`: a right to one that was lost meanwhile must not keep out the others."""
        bodies: dict[str, dict[str, Any]] = {}
        allowed: dict[Topic, Position | None] = {}
        async with self._market.database.connection() as con:
            for topic, position in resume.items():
                try:
                    await require_watch(con, principal, topic)
                    allowed[topic] = position
                except NotFound as error:
                    bodies[str(topic)] = _error_body(error)
        # One round trip for all: each then finds that it is listened to.
        await self._node.listen_to(list(allowed))
        for topic, position in allowed.items():
            try:
                bodies[str(topic)] = subscription_body(await self._watch(topic, position))
            except Unavailable:
                raise
            except FeiraError as error:
                bodies[str(topic)] = _error_body(error)
        return bodies

    async def _subscribe(
        self, principal: Principal, topic: Topic, position: Position | None
    ) -> Subscription:
        if topic not in self._topics and len(self._topics) >= TOPICS_MAX:
            raise TooMany(
                "socket.too_many_topics",
                f"A socket watches {TOPICS_MAX} topics at most.",
                retry_after_s=60,
            )
        async with self._server.arrivals:
            async with self._market.database.connection() as con:
                await require_watch(con, principal, topic)
            return await self._watch(topic, position)

    async def _watch(self, topic: Topic, position: Position | None) -> Subscription:
        subscription = await self._node.subscribe(topic, self, position)
        self._topics[topic] = None
        if not self.connection.is_open:
            # It left while this was under way: `left` did not see it.
            self._unwatch()
        return subscription

    def _unwatch(self) -> None:
        for topic in list(self._topics):
            self._node.unsubscribe(topic, self)
        self._topics.clear()

    def _unsubscribed(self, topic: Topic, reason: Literal["resync", "rights lost"]) -> None:
        self._topics.pop(topic, None)
        message = {"unsubscribed": Unsubscribed(topic=str(topic), reason=reason)}
        self.push(PushFrames(message).encoded(self.encoding))

    def _unsubscribe(self, principal: Principal, topic: Topic) -> None:
        if topic in self._topics and topic != inbox_topic(principal.user_id):
            del self._topics[topic]
            self._node.unsubscribe(topic, self)

    async def _refresh(
        self, principal: Principal, identifier: int | None, command: Refresh
    ) -> None:
        signed_in = await authenticate(self._market, command.token, self._origin)
        if signed_in.principal.session_id != principal.session_id:
            raise NotSignedIn(
                "auth.other_session", "This token belongs to another session; open a new socket."
            )
        self._principal = signed_in.principal
        self._token_expires_at = signed_in.expires_at
        self._commands.answer(identifier, "ok", Refreshed(expires_at=signed_in.expires_at))

    def _require_principal(self) -> Principal:
        if self._principal is None:
            raise NotSignedIn("socket.not_connected", "Send connect with an access token first.")
        return self._principal


def _error_body(error: FeiraError) -> dict[str, Any]:
    shown = ErrorBody(code=error.code, message=error.message, retryable=error.retryable)
    return {"error": shown}
