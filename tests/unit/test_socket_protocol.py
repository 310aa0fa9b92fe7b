"""The socket protocol: bytes in, typed messages out, and back."""

import json
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feira.actors.frames import Encoding, encode_message
from feira.platform.domain.errors import FeiraError, TooMany
from feira.platform.domain.orders import Ship
from feira.ws.protocol import (
    MESSAGES_PER_FRAME_MAX,
    CommandOrderBy,
    Connect,
    MalformedFrame,
    Send,
    UpTo,
    decode_frame,
    error_answer,
    join_frames,
)

TOPIC = f"conversation:{uuid4()}"


def frame(*messages: Any, encoding: Encoding = "json") -> bytes:
    if encoding == "json":
        return b"\n".join(json.dumps(message).encode() for message in messages)
    return msgspec.msgpack.encode(list(messages) if len(messages) != 1 else messages[0])


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_a_frame_holds_several_messages_in_order(encoding: Encoding) -> None:
    client_id = str(uuid4())
    data = frame(
        {"id": 1, "connect": {"token": "t"}},
        {"id": 2, "send": {"topic": TOPIC, "client_id": client_id, "text": "Olá"}},
        {"read": {"topic": TOPIC, "seq": 7}},
        encoding=encoding,
    )
    connect, send, read = decode_frame(data, encoding)
    assert isinstance(connect.command, Connect)
    assert isinstance(send.command, Send)
    assert (send.id, send.name, send.command.text) == (2, "send", "Olá")
    assert isinstance(read.command, UpTo)
    assert (read.id, read.name) == (None, "read")


def test_an_order_command_is_typed_like_the_one_over_http() -> None:
    command = {"action": "ship", "carrier": "CTT", "tracking_number": "RR1"}
    order = {"order": str(uuid4()), "idempotency_key": "k", "command": command}
    [message] = decode_frame(frame({"id": 3, "order": order}), "json")
    assert isinstance(message.command, CommandOrderBy)
    assert isinstance(message.command.command, Ship)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"id": 9, "send": {"topic": TOPIC, "client_id": "x", "text": "hi"}}, "$.send.client_id"),
        ({"id": 9, "send": {"topic": TOPIC, "client_id": str(uuid4()), "text": ""}}, "$.send.text"),
        (
            {"id": 9, "send": {"topic": TOPIC, "client_id": str(uuid4()), "text": "x" * 4001}},
            "$.send.text",
        ),
        ({"id": 9, "read": {"topic": TOPIC, "seq": -1}}, "$.read.seq"),
        ({"id": 9, "read": {"topic": TOPIC, "seq": 2**60}}, "$.read.seq"),
        ({"id": 9, "shout": {}}, "$"),
        ({"id": 9, "typing": {"topic": TOPIC, "to": "all"}}, "$.typing"),
    ],
)
def test_a_wrong_message_names_its_id_and_the_wrong_part(
    message: dict[str, Any], field: str
) -> None:
    [incoming] = decode_frame(frame(message), "json")
    assert incoming.id == 9
    assert isinstance(incoming.command, FeiraError)
    assert (incoming.command.code, incoming.command.field) == ("request.invalid", field)


@pytest.mark.parametrize("message", [{"id": 1}, {"id": 1, "ping": {}, "typing": {"topic": TOPIC}}])
def test_a_message_has_exactly_one_command(message: dict[str, Any]) -> None:
    [incoming] = decode_frame(frame(message), "json")
    assert isinstance(incoming.command, FeiraError)


def test_a_wrong_message_does_not_spoil_its_neighbours() -> None:
    first, second = decode_frame(frame({"id": 1, "shout": {}}, {"id": 2, "ping": {}}), "json")
    assert isinstance(first.command, FeiraError)
    assert second.name == "ping"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"{", "json"),
        (b'{"id":1,"send":{"text":"\xff"}}', "json"),
        (b"\xc1", "msgpack"),
        (b"\n".join([b'{"ping":{}}'] * (MESSAGES_PER_FRAME_MAX + 1)), "json"),
    ],
)
def test_bytes_that_are_no_messages_are_malformed(data: bytes, encoding: Encoding) -> None:
    with pytest.raises(MalformedFrame):
        decode_frame(data, encoding)


@given(st.binary(max_size=300), st.sampled_from(["json", "msgpack"]))
def test_no_bytes_at_all_raise_anything_but_malformed(data: bytes, encoding: Encoding) -> None:
    try:
        messages = decode_frame(data, encoding)
    except MalformedFrame:
        return
    assert all(message.command is not None for message in messages)


@pytest.mark.parametrize("count", [1, 2, 16, 70_000])
def test_joined_messages_decode_as_one_frame(count: int) -> None:
    wanted = [{"n": number % 100} for number in range(count)]
    packed = join_frames([encode_message(message, "msgpack") for message in wanted], "msgpack")
    decoded = msgspec.msgpack.decode(packed)
    assert (decoded if isinstance(decoded, list) else [decoded]) == wanted
    text = join_frames([encode_message(message, "json") for message in wanted], "json")
    assert [json.loads(line) for line in text.split(b"\n")] == wanted


def test_an_error_says_when_to_try_again() -> None:
    error = TooMany("socket.rate_limited", "Wait.", retry_after_s=1.5)
    answer = json.loads(error_answer(4, error, "json").data)
    assert answer == {
        "id": 4,
        "error": {
            "code": "socket.rate_limited",
            "message": "Wait.",
            "retryable": True,
            "retry_after": 1.5,
        },
    }
