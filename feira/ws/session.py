r"""One client on one socket: signs in, watches topics, and has its commands carried out in order.

opened --connect(token)--> connected --close--> closed
   \--5 s without it--> closed
"""

from __future__ import annotations

import time
from collections.abc import Coroutine
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import structlog

from feira.actors.frames import Encoding, Frame, PushFrames
from feira.actors.group_commit import Posted
from feira.actors.topic import Position, Subscription
from feira.platform.domain.errors import (
    Conflict,
    FeiraError,
    InvalidInput,
    NotSignedIn,
    TooMany,
    Unavailable,
)
from feira.platform.domain.ids import ConversationId, SessionId, UserId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import Topic, conversation_topic, inbox_topic, parse_topic
from feira.services.messaging.messages import NewMessage, WantedCursor
from feira.services.users.authentication import authenticate
from feira.services.watching import require_watch
from feira.ws import metrics, offers
from feira.ws.close_codes import CloseCode
from feira.ws.connection import Connection
from feira.ws.limits import REFUSALS_MAX, TokenBucket
from feira.ws.protocol import (
    CommandOfferBy,
    CommandOrderBy,
    Connect,
    Incoming,
    MakeOfferIn,
    MalformedFrame,
    OnTopic,
    Ping,
    Refresh,
    Send,
    SubscribeTo,
    UpTo,
    answer,
    decode_frame,
    error_answer,
    subscription_body,
)

if TYPE_CHECKING:
    from feira.ws.server import SocketServer

log = structlog.get_logger("feira.ws")

REFRESH_WITHIN_S: Final = 25.0
TOPICS_MAX: Final = 500
IN_FLIGHT_MAX: Final = 256
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

    def __init__(self, server: SocketServer, connection: Connection) -> None:
        self._server = server
        self._node = server.node
        self._market = server.market
        self.connection: Final = connection
        self.encoding: Encoding = connection.encoding
        self._principal: Principal | None = None
        self._token_expires_at: datetime | None = None
        self._topics: dict[Topic, None] = {}
        self._bucket = TokenBucket()
        self._in_flight = 0
        self._is_connecting = False
        self._opened_at = time.monotonic()

    @property
    def user_id(self) -> UserId:
        return self._require_principal().user_id

    @property
    def session_id(self) -> SessionId:
        return self._require_principal().session_id

    # What actors call.

    def push(self, frame: Frame) -> None:
        self.connection.push(frame)

    def resync(self, topic: Topic) -> None:
        self._topics.pop(topic, None)
        self.push(
            PushFrames({"unsubscribed": {"topic": str(topic), "reason": "resync"}}).encoded(
                self.encoding
            )
        )

    def end_session(self) -> None:
        self.connection.close(CloseCode.SESSION_ENDED)

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
            if not isinstance(message.command, Send):
                return self._handle_all(incoming[at:])
            if self._admits(message):
                try:
                    self._send(message.id, message.command)
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
        if not self._bucket.take():
            if self._bucket.refusals > REFUSALS_MAX:
                self.connection.close(CloseCode.RATE_LIMITED)
                return False
            self._refuse(
                message.id,
                TooMany(
                    "socket.rate_limited",
                    "Too many messages; wait.",
                    retry_after_s=self._bucket.retry_after_s,
                ),
            )
            return False
        metrics.COMMANDS.labels(message.name or "malformed").inc()
        return True

    def _refuse_command(self, message: Incoming, error: FeiraError) -> None:
        self._refuse(message.id, error)
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
                self._answer(message.id, "ok", {})
            case _ if self._principal is None:
                raise _not_connected()
            case SubscribeTo() as command:
                topic = parse_topic(command.topic)
                subscription = await self._subscribe(topic, command.position())
                body = {"topic": str(topic)} | subscription_body(subscription)
                self._answer(message.id, "subscribe", body)
            case OnTopic() as command if message.name == "unsubscribe":
                self._unsubscribe(parse_topic(command.topic))
                self._answer(message.id, "ok", {})
            case OnTopic() as command:
                self._node.typing(self._require_principal(), _conversation(command.topic))
            case Send() as command:
                self._send(message.id, command)
            case UpTo() as command:
                await self._move_cursor(message.name, command)
                self._answer(message.id, "ok", {})
            case CommandOrderBy() as command:
                view = await self._node.command_order(
                    self._require_principal(),
                    command.order,
                    command.command,
                    idempotency_key=command.idempotency_key,
                )
                self._answer(message.id, "ok", {"version": view.version, "status": view.status})
            case MakeOfferIn() as command:
                place = _conversation(command.topic)
                made = await offers.make(self._market, self._require_principal(), place, command)
                self._answer(message.id, "ok", made)
            case CommandOfferBy() as command:
                answered = await offers.answer(self._market, self._require_principal(), command)
                self._answer(message.id, "ok", answered)
            case Refresh() as command:
                await self._refresh(message.id, command)

    async def _connect(self, identifier: int | None, command: Connect) -> None:
        if self._principal is not None:
            raise InvalidInput(
                "socket.connected_already",
                "This socket is connected; send refresh for a new token.",
            )
        self._is_connecting = True
        signed_in = await authenticate(self._market, command.token)
        resume = {parse_topic(name): seen.position() for name, seen in command.resume.items()}
        self._principal = signed_in.principal
        self._token_expires_at = signed_in.expires_at
        inbox = inbox_topic(signed_in.principal.user_id)
        try:
            if inbox not in resume:
                await self._node.subscribe(inbox, self, None)
                self._topics[inbox] = None
            topics = {
                str(topic): await self._resume(topic, position)
                for topic, position in resume.items()
            }
        except FeiraError:
            # Not half-connected: the client tries again from the start.
            self._unwatch()
            self._principal = None
            raise
        self._answer(
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

    async def _resume(self, topic: Topic, position: Position) -> dict[str, Any]:
        """One topic of a `connect`: a right that was lost meanwhile must not keep out the others."""
        try:
            return subscription_body(await self._subscribe(topic, position))
        except Unavailable:
            raise
        except FeiraError as error:
            return {
                "error": {
                    "code": error.code,
                    "message": error.message,
                    "retryable": error.retryable,
                }
            }

    async def _subscribe(self, topic: Topic, position: Position | None) -> Subscription:
        if topic not in self._topics and len(self._topics) >= TOPICS_MAX:
            raise TooMany(
                "socket.too_many_topics",
                f"A socket watches {TOPICS_MAX} topics at most.",
                retry_after_s=60,
            )
        async with self._market.database.connection() as con:
            await require_watch(con, self._require_principal(), topic)
        subscription = await self._node.subscribe(topic, self, position)
        self._topics[topic] = None
        if not self.connection.is_open:
            self._unwatch()
        return subscription

    def _unwatch(self) -> None:
        for topic in list(self._topics):
            self._node.unsubscribe(topic, self)
        self._topics.clear()

    def _unsubscribe(self, topic: Topic) -> None:
        if topic in self._topics and topic != inbox_topic(self.user_id):
            del self._topics[topic]
            self._node.unsubscribe(topic, self)

    def _send(self, identifier: int | None, command: Send) -> None:
        if self._principal is None:
            raise _not_connected()
        if self._in_flight >= IN_FLIGHT_MAX:
            raise Unavailable(
                "socket.overloaded",
                f"{IN_FLIGHT_MAX} messages are under way; wait for answers.",
                retry_after_s=0.5,
            )
        self._node.post_message_soon(
            self._principal,
            _conversation(command.topic),
            NewMessage(client_id=command.client_id, text=command.text),
            partial(self._sent, identifier),
        )
        self._in_flight += 1

    def _sent(self, identifier: int | None, posted: Posted) -> None:
        self._in_flight -= 1
        if isinstance(posted, FeiraError):
            self._refuse(identifier, posted)
        else:
            self._answer(identifier, "ok", {"seq": posted.seq, "at": posted.at})

    async def _move_cursor(self, name: str, command: UpTo) -> None:
        read, delivered = (command.seq, 0) if name == "read" else (0, command.seq)
        conversation = _conversation(command.topic)
        topic = conversation_topic(conversation)
        if topic not in self._topics:
            # Who watches was asked already.
            async with self._market.database.connection() as con:
                await require_watch(con, self._require_principal(), topic)
        await self._node.move_cursor(
            conversation,
            WantedCursor(user_id=self.user_id, read_seq=read, delivered_seq=delivered),
        )

    async def _refresh(self, identifier: int | None, command: Refresh) -> None:
        signed_in = await authenticate(self._market, command.token)
        if signed_in.principal.session_id != self.session_id:
            raise NotSignedIn(
                "auth.other_session", "This token belongs to another session; open a new socket."
            )
        self._principal = signed_in.principal
        self._token_expires_at = signed_in.expires_at
        self._answer(identifier, "ok", {"expires_at": signed_in.expires_at})

    def _answer(self, identifier: int | None, name: str, value: object) -> None:
        if identifier is not None:
            self.push(answer(identifier, name, value, self.encoding))

    def _refuse(self, identifier: int | None, error: FeiraError) -> None:
        self.push(error_answer(identifier, error, self.encoding))

    def _require_principal(self) -> Principal:
        assert self._principal is not None, "only connected sessions get here"
        return self._principal


def _not_connected() -> NotSignedIn:
    return NotSignedIn("socket.not_connected", "Send connect with an access token first.")


def _conversation(topic_name: str) -> ConversationId:
    topic = parse_topic(topic_name)
    if topic.kind != "conversation":
        raise InvalidInput(
            "topic.not_a_conversation", f"{topic} is not a conversation.", field="$.topic"
        )
    return cast("ConversationId", topic.id)
