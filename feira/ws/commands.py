"""What a client may ask for, whatever it is connected by: carried out for a principal, and answered.

Signing in and watching are the session's; here is what would mean the same over a postcard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from functools import partial
from typing import Final, cast

from feira.actors.frames import Encoding, Frame
from feira.actors.group_commit import Posted
from feira.actors.node import Node
from feira.platform.domain.errors import FeiraError, InvalidInput, TooMany, Unavailable
from feira.platform.domain.ids import ConversationId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import Topic, conversation_topic, parse_topic
from feira.services.market import Market
from feira.services.messaging.history import require_message
from feira.services.messaging.messages import NewMessage, WantedCursor
from feira.services.watching import require_watch
from feira.ws import offers, returns
from feira.ws.changes import change_message
from feira.ws.limits import TokenBucket
from feira.ws.messages import Done, Logged, OrderMovedOn
from feira.ws.protocol import (
    CommandOfferBy,
    CommandOrderBy,
    CommandReturnBy,
    Delete,
    Edit,
    Incoming,
    MakeOfferIn,
    Ping,
    ReactTo,
    RefundBy,
    RequestReturnBy,
    Send,
    UpTo,
    answer,
    error_answer,
)

IN_FLIGHT_MAX: Final = 256


class Commands:
    """`push` takes the answers; `watched` are topics whose rights were asked already."""

    __slots__ = ("_market", "_node", "_push", "_settled", "_watched", "encoding", "in_flight")

    def __init__(
        self,
        market: Market,
        node: Node,
        *,
        encoding: Encoding,
        push: Callable[[Frame], None],
        watched: Container[Topic] = (),
    ) -> None:
        self._market = market
        self._node = node
        self._push = push
        self._watched = watched
        self.encoding: Final = encoding
        self.in_flight = 0
        """Messages that were accepted and wait for their commit."""
        self._settled: asyncio.Future[None] | None = None

    async def settled(self) -> None:
        """Wait until all messages are answered."""
        if self.in_flight:
            self._settled = asyncio.get_running_loop().create_future()
            await self._settled

    async def carry_out(self, principal: Principal, message: Incoming) -> None:
        """Carry out and answer one command; `send` is answered later, after its commit.

        Raises:
            FeiraError: it was not carried out; `refuse` says so to the client.
        """
        match message.command:
            case Send() as command:
                await self._require_replied(principal, command)
                self.send(principal, message.id, command)
            case Edit() | Delete() | ReactTo() as command:
                place = conversation_of(command.topic)
                change = await change_message(self._market, principal, place, command)
                self.answer(message.id, "ok", Logged(seq=change.seq, at=change.at))
            case Ping():
                self.answer(message.id, "ok", Done())
            case UpTo() as command:
                await self._move_cursor(principal, message.name, command)
                self.answer(message.id, "ok", Done())
            case CommandOrderBy() as command:
                view = await self._node.command_order(
                    principal,
                    command.order,
                    command.command,
                    idempotency_key=command.idempotency_key,
                )
                moved = OrderMovedOn(version=view.version, status=view.status)
                self.answer(message.id, "ok", moved)
            case MakeOfferIn() as command:
                place = conversation_of(command.topic)
                made = await offers.make(self._market, principal, place, command)
                self.answer(message.id, "ok", made)
            case CommandOfferBy() as command:
                answered = await offers.answer(self._market, principal, command)
                self.answer(message.id, "ok", answered)
            case RefundBy() as command:
                given = await returns.refund(self._market, principal, command)
                self.answer(message.id, "ok", given)
            case RequestReturnBy() as command:
                asked = await returns.request(self._market, principal, command)
                self.answer(message.id, "ok", asked)
            case CommandReturnBy() as command:
                stepped = await returns.answer(self._market, principal, command)
                self.answer(message.id, "ok", stepped)
            case FeiraError() as error:
                raise error
            case _:
                raise AssertionError(f"{message.name} is the session's")

    def send(self, principal: Principal, identifier: int | None, command: Send) -> None:
        """Have a message posted; its commit answers it. What it replies to was looked up before.

        Raises:
            FeiraError: not accepted.
        """
        if self.in_flight >= IN_FLIGHT_MAX:
            raise Unavailable(
                "socket.overloaded",
                f"{IN_FLIGHT_MAX} messages are under way; wait for answers.",
                retry_after_s=0.5,
            )
        self._node.post_message_soon(
            principal,
            conversation_of(command.topic),
            NewMessage(
                client_id=command.client_id,
                text=command.text,
                attachments=command.attachments,
                reply_to=command.reply_to,
            ),
            partial(self._sent, identifier),
        )
        self.in_flight += 1

    def _sent(self, identifier: int | None, posted: Posted) -> None:
        self.in_flight -= 1
        if isinstance(posted, FeiraError):
            self.refuse(identifier, posted)
        else:
            self.answer(identifier, "ok", Logged(seq=posted.seq, at=posted.at))
        if self._settled is not None and not self.in_flight and not self._settled.done():
            self._settled.set_result(None)

    async def _require_replied(self, principal: Principal, command: Send) -> None:
        if command.reply_to is not None:
            conversation = conversation_of(command.topic)
            async with self._market.database.connection() as con:
                await require_message(con, principal.user_id, conversation, command.reply_to)

    async def _move_cursor(self, principal: Principal, name: str, command: UpTo) -> None:
        read, delivered = (command.seq, 0) if name == "read" else (0, command.seq)
        conversation = conversation_of(command.topic)
        topic = conversation_topic(conversation)
        if topic not in self._watched:
            async with self._market.database.connection() as con:
                await require_watch(con, principal, topic)
        await self._node.move_cursor(
            conversation,
            WantedCursor(user_id=principal.user_id, read_seq=read, delivered_seq=delivered),
        )

    def answer(self, identifier: int | None, name: str, value: object) -> None:
        """Answer a command, if its client wants to know."""
        if identifier is not None:
            self._push(answer(identifier, name, value, self.encoding))

    def refuse(self, identifier: int | None, error: FeiraError) -> None:
        """Tell that a command was not carried out."""
        self._push(error_answer(identifier, error, self.encoding))


def rate_limited(bucket: TokenBucket) -> TooMany:
    """The answer to a command for which a bucket had no token."""
    return TooMany(
        "socket.rate_limited", "Too many messages; wait.", retry_after_s=bucket.retry_after_s
    )


def conversation_of(topic_name: str) -> ConversationId:
    """The conversation that a command is about.

    Raises:
        InvalidInput: `topic.malformed`, `topic.not_a_conversation`.
    """
    topic = parse_topic(topic_name)
    if topic.kind != "conversation":
        raise InvalidInput(
            "topic.not_a_conversation", f"{topic} is not a conversation.", field="$.topic"
        )
    return cast("ConversationId", topic.id)
