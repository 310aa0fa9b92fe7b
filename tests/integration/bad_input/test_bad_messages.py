"""Sockets get what they must not accept: the sender is told, the others in the room notice nothing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import msgspec
import pytest
import structlog

from feira.app import RunningNode
from feira.ws.close_codes import CloseCode
from tests.integration.bad_input.test_bad_bodies import HARD_NUMBERS, HARD_TEXTS, spoiled_fields
from tests.integration.cast import Cast, Part, assemble
from tests.integration.sockets import Client, opened

_ids = itertools.count(10_000)
NOT_TEXT: Final = {"NUL": '"a\\u0000b"', "a number": "7", "a list": "[]", "null": "null"}
NOT_NUMBER: Final = {"text": '"7"', "an exponent": "1e3", "a fraction": "1.5", "true": "true"}


@dataclass(frozen=True)
class Room:
    """The buyer and the owner watch their conversation."""

    cast: Cast
    node: RunningNode
    buyer: Client
    owner: Client

    @property
    def topic(self) -> str:
        return f"conversation:{self.cast.ids['conversation']}"

    @property
    def message(self) -> int:
        return int(self.cast.ids["message"])

    async def stored(self) -> int:
        async with self.cast.market.database.connection() as con:
            return await con.fetchval("SELECT count(*) FROM messages")


@pytest.fixture
async def room(node: RunningNode) -> AsyncIterator[Room]:
    cast = await assemble(node.market)
    async with AsyncExitStack() as stack:
        buyer, owner = [await connected(stack, node, cast, part) for part in ("buyer", "owner")]
        room = Room(cast=cast, node=node, buyer=buyer, owner=owner)
        for client in (buyer, owner):
            await client.ask(subscribe={"topic": room.topic})
        yield room


async def connected(
    stack: AsyncExitStack, node: RunningNode, cast: Cast, part: Part, encoding: str = "json"
) -> Client:
    client = await stack.enter_async_context(opened(node, encoding))
    answer = await client.ask(connect={"token": cast.people[part].token})
    assert "connect" in answer, answer
    return client


def sound_commands(room: Room) -> list[dict[str, Any]]:
    return [
        {"connect": {"token": "x", "resume": {room.topic: {"seq": 1, "epoch": "e"}}}},
        {"subscribe": {"topic": room.topic, "seq": 1, "epoch": "e"}},
        {"unsubscribe": {"topic": room.topic}},
        {
            "send": {
                "topic": room.topic,
                "client_id": str(uuid4()),
                "text": "Bom dia",
                "reply_to": room.message,
            }
        },
        {
            "edit": {
                "topic": room.topic,
                "message": room.message,
                "client_id": str(uuid4()),
                "text": "Boa tarde",
            }
        },
        {
            "react": {
                "topic": room.topic,
                "message": room.message,
                "client_id": str(uuid4()),
                "emoji": "👍",
                "remove": True,
            }
        },
        {"delete": {"topic": room.topic, "message": room.message}},
        {"read": {"topic": room.topic, "seq": 1}},
        {"delivered": {"topic": room.topic, "seq": 1}},
        {"typing": {"topic": room.topic}},
        {
            "order": {
                "order": room.cast.ids["order"],
                "idempotency_key": "k",
                "command": {
                    "action": "ship",
                    "expected_version": 1,
                    "carrier": "CTT",
                    "tracking_number": "RR1",
                    "lines": [{"line": str(uuid4()), "quantity": 1}],
                },
            }
        },
        {
            "make_offer": {
                "topic": room.topic,
                "idempotency_key": "m",
                "offer": {
                    "variant": room.cast.ids["variant"],
                    "quantity": 2,
                    "unit_price_minor": 900,
                    "currency": "EUR",
                    "valid_s": 3_600,
                    "address": room.cast.ids["address"],
                },
            }
        },
        {
            "offer": {
                "offer": room.cast.ids["offer"],
                "idempotency_key": "o",
                "command": {
                    "action": "counter",
                    "quantity": 2,
                    "unit_price_minor": 850,
                    "valid_s": 3_600,
                    "address": room.cast.ids["address"],
                },
            }
        },
        {"refresh": {"token": "x"}},
    ]


async def told(client: Client, message: bytes) -> dict[str, Any]:
    """Send the bytes of a message with an id, and return the answer."""
    identifier = next(_ids)
    await client.socket.send_str((b'{"id":%d,' % identifier + message[1:]).decode())
    return await client.until(lambda answer: answer.get("id") == identifier)


async def heard_by_owner(room: Room) -> None:
    """The next thing that the owner is pushed is the next thing that the buyer says."""
    said = {"topic": room.topic, "client_id": str(uuid4()), "text": "Still here?"}
    answer = await room.buyer.ask(send=said)
    while answer.get("error", {}).get("code") == "socket.rate_limited":
        # Other sockets of the buyer's said a lot just now.
        await asyncio.sleep(answer["error"]["retry_after"])
        answer = await room.buyer.ask(send=said)
    event = await room.owner.event(answer["ok"]["seq"])
    assert event["body"]["text"] == "Still here?"
    assert not [message for message in room.owner.received if "unsubscribed" in message]


async def test_a_message_with_a_wrong_part_is_refused_with_its_place_and_nobody_else_notices(
    room: Room,
) -> None:
    stored = await room.stored()
    with structlog.testing.capture_logs() as logs:
        async with AsyncExitStack() as stack:
            client = await connected(stack, room.node, room.cast, "buyer")
            for command in sound_commands(room):
                for number, (what, message) in enumerate(
                    spoiled_fields(command, {str: NOT_TEXT, int: NOT_NUMBER})
                ):
                    if "null" in what and any(name in what for name in ("seq", "lines", "address")):
                        continue
                    if number % 50 == 49:
                        client = await connected(stack, room.node, room.cast, "buyer")
                    answer = await told(client, message)
                    assert "error" in answer, (what, message, answer)
                    assert answer["error"]["code"] == "request.invalid", (what, answer)
                    assert answer["error"]["field"], (what, answer)
    assert await room.stored() == stored
    assert [line for line in logs if line["log_level"] == "error"] == []
    await heard_by_owner(room)


async def test_limits_of_numbers_and_texts_crash_no_actor(room: Room) -> None:
    numbers = {name: text for name, text in HARD_NUMBERS.items() if len(text) < 500}
    texts = HARD_TEXTS | {"200,000 characters": '"' + "x" * 5_000 + '"'}
    with structlog.testing.capture_logs() as logs:
        async with AsyncExitStack() as stack:
            for command in sound_commands(room):
                client = await connected(stack, room.node, room.cast, "buyer")
                for what, message in spoiled_fields(command, {str: texts, int: numbers}):
                    if "typing" in what:
                        # Has no answer unless it is wrong.
                        await client.socket.send_str(message.decode())
                        await client.ask(ping={})
                        continue
                    answer = await told(client, message)
                    assert {"ok", "error", "subscribe"} & answer.keys(), (what, answer)
                    assert answer.get("error", {}).get("code") != "internal", (what, answer)
    assert [line for line in logs if line["log_level"] == "error"] == []
    await heard_by_owner(room)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_the_character_that_cannot_be_stored_is_refused_in_both_encodings(
    room: Room, encoding: str
) -> None:
    async with AsyncExitStack() as stack:
        client = await connected(stack, room.node, room.cast, "buyer", encoding)
        for text in ("\0", "a\0b", "\\\0"):
            answer = await client.ask(
                send={"topic": room.topic, "client_id": str(uuid4()), "text": text}
            )
            assert answer["error"]["code"] == "request.invalid"
            assert not answer["error"]["retryable"]
        answer = await client.ask(
            send={"topic": room.topic, "client_id": str(uuid4()), "text": "\\u0000"}
        )
        assert "ok" in answer
    await heard_by_owner(room)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b'{"id":1,"send":{"topic":"ops","text":"\\ud800"}}',
        b"nonsense",
        b'{"id":1}\n' * 65,
        b'{"id":NaN}',
    ],
    ids=lambda frame: repr(frame[:16]),
)
async def test_a_frame_that_is_no_message_ends_its_own_socket_alone(
    room: Room, frame: bytes
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with AsyncExitStack() as stack:
            client = await connected(stack, room.node, room.cast, "other_buyer")
            # Text that is not UTF-8 breaks RFC 6455 itself.
            try:
                text = frame.decode()
            except UnicodeDecodeError:
                await client.socket.send_frame(frame, 1)  # pyright: ignore[reportArgumentType]
                assert await client.closed() in {1007, 1006, None}
            else:
                await client.socket.send_str(text)
                if frame:
                    assert await client.closed() == CloseCode.BAD_REQUEST
                else:
                    assert "ok" in await client.ask(ping={})
    assert [line for line in logs if line["log_level"] == "error"] == []
    await heard_by_owner(room)


@pytest.mark.parametrize("frame", ["[" * 30_000, '{"a":' * 10_000, '{"id":{"a":' * 5_000, '""'])
async def test_a_message_of_the_wrong_shape_however_deep_is_refused_and_the_socket_lives(
    room: Room, frame: str
) -> None:
    async with AsyncExitStack() as stack:
        client = await connected(stack, room.node, room.cast, "other_buyer")
        await client.socket.send_str(frame)
        refused = await client.until(lambda message: "error" in message)
        assert refused["error"]["code"] == "request.invalid"
        assert "ok" in await client.ask(ping={})
    await heard_by_owner(room)


STRANGE_VALUES: Final[list[object]] = [
    {"id": 1, "send": b"\x00\xff"},
    {1: 2},
    {"id": -1, "ping": {}},
    {"id": 2**64 - 1, "ping": {}},
    {"id": 1, "ping": {}, "typing": {}},
    {"id": 1.5, "ping": {}},
    {"id": 1, "send": {"topic": "t", "client_id": b"x" * 16, "text": "t"}},
    msgspec.msgpack.Ext(5, b"x"),
    float("nan"),
    [[[]]],
    None,
]


@pytest.mark.parametrize("value", STRANGE_VALUES, ids=lambda value: repr(value)[:30])
async def test_messagepack_of_any_shape_is_refused_or_ends_the_socket(
    room: Room, value: object
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with AsyncExitStack() as stack:
            client = await connected(stack, room.node, room.cast, "other_buyer", "msgpack")
            await client.socket.send_bytes(msgspec.msgpack.encode(value))
            await client.socket.send_bytes(msgspec.msgpack.encode({"id": 77, "ping": {}}))
            answer = None
            try:
                answer = await client.until(lambda message: message.get("id") == 77)
            except AssertionError:
                assert client.socket.close_code == CloseCode.BAD_REQUEST
            if answer is not None:
                assert any("error" in message for message in client.received), client.received
    assert [line for line in logs if line["log_level"] == "error"] == []
    await heard_by_owner(room)


async def test_a_client_id_of_somebody_else_is_ones_own_message(room: Room) -> None:
    client_id = str(uuid4())
    seqs = {
        name: (await client.ask(send={"topic": room.topic, "client_id": client_id, "text": name}))[
            "ok"
        ]["seq"]
        for name, client in (("buyer", room.buyer), ("owner", room.owner))
    }
    assert seqs["buyer"] != seqs["owner"]
    # And a resend gets the first place, whatever it says.
    again = await room.buyer.ask(
        send={"topic": room.topic, "client_id": client_id, "text": "something else"}
    )
    assert again["ok"]["seq"] == seqs["buyer"]


async def test_a_conversation_of_others_or_of_nobody_takes_no_message(room: Room) -> None:
    stored = await room.stored()
    async with AsyncExitStack() as stack:
        stranger = await connected(stack, room.node, room.cast, "rival")
        for topic in (room.topic, f"conversation:{uuid4()}"):
            for command in (
                {"send": {"topic": topic, "client_id": str(uuid4()), "text": "Hello"}},
                {"read": {"topic": topic, "seq": 1}},
                {"subscribe": {"topic": topic}},
            ):
                answer = await stranger.ask(**command)
                assert answer.get("error", {}).get("code") in {
                    "conversation.not_found",
                    "topic.not_found",
                }, (command, answer)
    assert await room.stored() == stored
    await heard_by_owner(room)
