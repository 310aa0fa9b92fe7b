"""The socket protocol as pure functions: bytes in, typed messages out, and back. No I/O.

A JSON frame is text: one message a line. A MessagePack frame is binary: one message, or an array of them.
A message is a map with at most an `id` and exactly one other key, which says what it is. `id` correlates a
command with its answer; commands without one are not answered unless they fail.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from feira.actors.frames import Encoding, Frame, encode_message
from feira.actors.mail import Position, Subscription
from feira.platform.domain.errors import FeiraError, InvalidInput
from feira.platform.domain.ids import OfferId, OrderId, ReturnId
from feira.platform.domain.json_text import holds_nul
from feira.platform.domain.messages import MessageSeq
from feira.platform.domain.offers import MakeOffer, OfferCommand
from feira.platform.domain.orders import OrderCommand
from feira.platform.domain.refunds import RefundOrder
from feira.platform.domain.return_commands import AnyReturnCommand, RequestReturn
from feira.services.messaging.edits import EditMessage
from feira.services.messaging.messages import NewMessage
from feira.services.messaging.reactions import React
from feira.ws.messages import ErrorBody

SUBPROTOCOLS: Final[dict[str, Encoding]] = {"feira.v1.json": "json", "feira.v1.msgpack": "msgpack"}
DEFAULT_SUBPROTOCOL: Final = "feira.v1.json"

MESSAGES_PER_FRAME_MAX: Final = 64
RESUME_TOPICS_MAX: Final = 200

TopicName = Annotated[str, Meta(min_length=1, max_length=80)]
MessageId = Annotated[int, Meta(ge=0, le=2**53)]
Seq = Annotated[int, Meta(ge=0, le=2**53)]
IdempotencyKey = Annotated[str, Meta(min_length=1, max_length=200)]


class _In(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what clients send."""


class SeenPosition(_In, frozen=True, kw_only=True):
    """The last event of a topic that the client has; without `seq` it wants what comes from now on."""

    seq: Seq | None = None
    epoch: Annotated[str, Meta(max_length=40)] = ""

    def position(self) -> Position | None:
        return None if self.seq is None else Position(seq=self.seq, epoch=self.epoch)


class Connect(_In, frozen=True, kw_only=True):
    """First message: who, and where the client left off. The answer replays what it missed."""

    token: Annotated[str, Meta(max_length=4096)]
    resume: Annotated[dict[TopicName, SeenPosition], Meta(max_length=RESUME_TOPICS_MAX)] = {}


class SubscribeTo(SeenPosition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Watch a topic from a position, or from now on."""

    topic: TopicName


class OnTopic(_In, frozen=True, kw_only=True):
    """Stop watching a topic, or tell its watchers that one is typing."""

    topic: TopicName


class UpTo(_In, frozen=True, kw_only=True):
    """A cursor: everything up to and including `seq`."""

    topic: TopicName
    seq: Seq


class Send(NewMessage, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message for a conversation; answered once it is committed."""

    topic: TopicName


class Edit(EditMessage, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new text for a message of one's own; answered with where the edit stands in the log."""

    topic: TopicName
    message: MessageSeq


class Delete(_In, frozen=True, kw_only=True):
    """A tombstone instead of a message."""

    topic: TopicName
    message: MessageSeq


class ReactTo(React, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reaction to a message, or one less."""

    topic: TopicName
    message: MessageSeq


class CommandOrderBy(_In, frozen=True, kw_only=True):
    """A command on an order, as over HTTP."""

    order: OrderId
    idempotency_key: IdempotencyKey
    command: OrderCommand


class MakeOfferIn(_In, frozen=True, kw_only=True):
    """An offer in a conversation, as over HTTP."""

    topic: TopicName
    idempotency_key: IdempotencyKey
    offer: MakeOffer


class CommandOfferBy(_In, frozen=True, kw_only=True):
    """An answer to an offer, as over HTTP."""

    offer: OfferId
    idempotency_key: IdempotencyKey
    command: OfferCommand


class RefundBy(_In, frozen=True, kw_only=True):
    """Money of an order back to its buyer, as over HTTP."""

    order: OrderId
    idempotency_key: IdempotencyKey
    refund: RefundOrder


class RequestReturnBy(_In, frozen=True, kw_only=True):
    """A return, exchange or claim, as over HTTP."""

    order: OrderId
    idempotency_key: IdempotencyKey
    request: RequestReturn


class CommandReturnBy(_In, frozen=True, kw_only=True):
    """The next step of a return, as over HTTP."""

    returned: ReturnId
    idempotency_key: IdempotencyKey
    command: AnyReturnCommand


class Refresh(_In, frozen=True, kw_only=True):
    """A newer access token of the same session."""

    token: Annotated[str, Meta(max_length=4096)]


class Ping(_In, frozen=True, kw_only=True):
    """For clients that cannot see the WebSocket's own pings (browsers)."""


class ClientMessage(_In, frozen=True, kw_only=True):
    """One message of a client; exactly one field besides `id` is set."""

    id: MessageId | None = None
    connect: Connect | UnsetType = UNSET
    subscribe: SubscribeTo | UnsetType = UNSET
    unsubscribe: OnTopic | UnsetType = UNSET
    send: Send | UnsetType = UNSET
    edit: Edit | UnsetType = UNSET
    delete: Delete | UnsetType = UNSET
    react: ReactTo | UnsetType = UNSET
    read: UpTo | UnsetType = UNSET
    delivered: UpTo | UnsetType = UNSET
    typing: OnTopic | UnsetType = UNSET
    order: CommandOrderBy | UnsetType = UNSET
    make_offer: MakeOfferIn | UnsetType = UNSET
    offer: CommandOfferBy | UnsetType = UNSET
    refund: RefundBy | UnsetType = UNSET
    request_return: RequestReturnBy | UnsetType = UNSET
    command_return: CommandReturnBy | UnsetType = UNSET
    refresh: Refresh | UnsetType = UNSET
    ping: Ping | UnsetType = UNSET


ClientCommand = (
    Connect
    | SubscribeTo
    | OnTopic
    | Send
    | Edit
    | Delete
    | ReactTo
    | UpTo
    | CommandOrderBy
    | MakeOfferIn
    | CommandOfferBy
    | RefundBy
    | RequestReturnBy
    | CommandReturnBy
    | Refresh
    | Ping
)

_COMMANDS: Final = tuple(
    field.name for field in msgspec.structs.fields(ClientMessage) if field.name != "id"
)
_json = msgspec.json.Decoder(ClientMessage)


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded message: the name of its command and the command, or why it is wrong."""

    id: int | None
    name: str
    command: ClientCommand | FeiraError


class MalformedFrame(Exception):
    """Bytes that are no messages at all: the connection is closed, since nothing after them can be trusted."""


def decode_frame(data: bytes, encoding: Encoding) -> list[Incoming]:
    """Decode the messages of one frame, in order. A wrong message does not spoil its neighbours.

    Raises:
        MalformedFrame: not JSON lines or MessagePack, or more than `MESSAGES_PER_FRAME_MAX` messages.
    """
    pieces = _split_json(data) if encoding == "json" else _split_msgpack(data)
    if len(pieces) > MESSAGES_PER_FRAME_MAX:
        raise MalformedFrame(f"more than {MESSAGES_PER_FRAME_MAX} messages in a frame")
    return [_incoming(piece) for piece in pieces]


def _split_json(data: bytes) -> list[bytes]:
    return [line for line in data.split(b"\n") if line.strip()]


def _split_msgpack(data: bytes) -> list[bytes]:
    # Each message goes on as JSON, so that both encodings meet the same types, limits and error texts.
    try:
        decoded: object = msgspec.msgpack.decode(data)
        messages = cast("list[object]", decoded) if isinstance(decoded, list) else [decoded]
        return [msgspec.json.encode(message) for message in messages]
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise MalformedFrame("not MessagePack") from error


def _incoming(piece: bytes) -> Incoming:
    if holds_nul(piece):
        return Incoming(id=_id_of(piece), name="", command=_nul())
    try:
        message = _json.decode(piece)
    except msgspec.ValidationError as error:
        return Incoming(id=_id_of(piece), name="", command=_invalid(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedFrame("not JSON") from error
    given = [name for name in _COMMANDS if getattr(message, name) is not UNSET]
    if len(given) != 1:
        return Incoming(
            id=message.id,
            name="",
            command=InvalidInput(
                "request.invalid",
                f"A message has exactly one of {', '.join(_COMMANDS)}; this has {len(given)}.",
            ),
        )
    return Incoming(id=message.id, name=given[0], command=getattr(message, given[0]))


class _OnlyId(msgspec.Struct):
    id: MessageId | None = None


def _id_of(piece: bytes) -> int | None:
    """The id of a message that is wrong elsewhere, so that its sender learns which one it was."""
    try:
        return msgspec.json.decode(piece, type=_OnlyId).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _nul() -> InvalidInput:
    # PostgreSQL's text holds every character but this one.
    return InvalidInput("request.invalid", "The character U+0000 cannot be stored.", field="$")


def _invalid(error: msgspec.ValidationError) -> InvalidInput:
    message, _, path = str(error).partition(" - at `")
    return InvalidInput("request.invalid", f"{message}.", field=path.rstrip("`") or "$")


def join_frames(frames: list[Frame], encoding: Encoding) -> bytes:
    """Join encoded messages into the payload of one WebSocket frame."""
    if encoding == "json":
        return b"\n".join(frame.data for frame in frames)
    count = sum(frame.messages for frame in frames)
    if count == 1:
        return frames[0].data
    header = (
        b"\xdc" + count.to_bytes(2, "big") if count < 2**16 else b"\xdd" + count.to_bytes(4, "big")
    )
    return header + b"".join(frame.data for frame in frames)


def answer(identifier: int | None, name: str, value: object, encoding: Encoding) -> Frame:
    """The answer to a command."""
    return encode_message({"id": identifier, name: value}, encoding)


def error_answer(identifier: int | None, error: FeiraError, encoding: Encoding) -> Frame:
    """The typed error that answers a command, or is pushed where the command had no id."""
    body = ErrorBody(
        code=error.code,
        message=error.message,
        retryable=error.retryable,
        field=error.field,
        retry_after=error.retry_after_s,
        details=error.details,
    )
    message: dict[str, Any] = (
        {"error": body} if identifier is None else {"id": identifier, "error": body}
    )
    return encode_message(message, encoding)


def subscription_body(subscription: Subscription) -> dict[str, Any]:
    """A subscription as it stands in the answers to `connect` and `subscribe`."""
    return {
        "recovered": subscription.recovered,
        "seq": subscription.seq,
        "epoch": subscription.epoch,
        "events": [
            {"seq": event.seq, "at": event.at, "body": event.body} for event in subscription.events
        ],
        "state": subscription.state,
    }
