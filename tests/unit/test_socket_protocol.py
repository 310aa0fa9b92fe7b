"""The protocol as functions: every command with every kind of wrong field, in both encodings, and any bytes at all."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final, cast
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect as shapes

from feira.actors.frames import Encoding, Frame, PushFrames, encode_message
from feira.platform.domain.errors import FeiraError, InvalidInput, TooMany
from feira.ws.protocol import (
    MESSAGES_PER_FRAME_MAX,
    RESUME_TOPICS_MAX,
    ClientMessage,
    Incoming,
    MalformedFrame,
    answer,
    decode_frame,
    error_answer,
    join_frames,
)
from tests.unit.sound_values import sound_values

ENCODINGS: Final[tuple[Encoding, ...]] = ("json", "msgpack")
TOPIC: Final = "product:01a20d64-423b-7b43-af3b-0a682c6d306c"
COMMANDS: Final = {
    field.name: field.type
    for field in cast("shapes.StructType", shapes.type_info(ClientMessage)).fields
    if field.name != "id"
}
SOUND: Final[list[tuple[str, dict[str, Any]]]] = [
    (name, command) for name, shape in COMMANDS.items() for command in sound_values(shape)
]
# By JSON's own types; what is of the same one is wrong by its value.
WRONG_KINDS: Final[tuple[Any, ...]] = (True, 7, -1, 1.5, 2**64 - 1, 1e300, "x", [], [[1]], {"x": 1})
TOO_LONG: Final = "x" * 20_000


def encoded(message: object, encoding: Encoding) -> bytes:
    return msgspec.json.encode(message) if encoding == "json" else msgspec.msgpack.encode(message)


def only(data: bytes, encoding: Encoding) -> Incoming:
    (incoming,) = decode_frame(data, encoding)
    return incoming


Path = tuple[str | int, ...]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value inside a command with its path, maps and lists too."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(cast("dict[str | int, Any]", value).items())
    elif isinstance(value, list):
        inner = list(enumerate(cast("list[Any]", value)))
    for key, one in inner:
        yield (*path, key), one
        yield from leaves(one, (*path, key))


def required_fields(shape: shapes.Type) -> set[str]:
    assert isinstance(shape, shapes.StructType)
    return {field.encode_name for field in shape.fields if field.required}


def changed(command: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    command = copy.deepcopy(command)
    place: Any = command
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return command


def wrong_messages() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each sound command, wrong in one place."""
    for name, sound in SOUND:
        required = required_fields(COMMANDS[name])
        for value in (*WRONG_KINDS, None):
            if value != {}:
                yield f"{name} is {value!r}", {name: value}
        yield f"{name} with a field too many", {name: sound | {"surprise": 1}}
        for path, value in leaves(sound):
            where = f"{name} at {path}"
            if isinstance(value, dict):
                # Topics are names of any kind, but not their positions.
                more = {**cast("dict[str, Any]", value), "surprise": 1}
                yield f"{where}: a field too many", {name: changed(sound, path, more)}
            for wrong in WRONG_KINDS:
                if not isinstance(value, type(wrong)):
                    yield f"{where}: {wrong!r}", {name: changed(sound, path, wrong)}
            if isinstance(value, str):
                yield f"{where}: too long", {name: changed(sound, path, TOO_LONG)}
                yield f"{where}: NUL", {name: changed(sound, path, value + "\0")}
            if isinstance(value, int):
                for wrong in (-1, 2**53 + 1, 2**64 - 1):
                    yield f"{where}: {wrong}", {name: changed(sound, path, wrong)}
        for key in required:
            yield f"{name}: null at {key}", {name: sound | {key: None}}
            yield f"{name} without {key}", {name: {k: v for k, v in sound.items() if k != key}}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_sound_command_arrives_as_it_was_sent(encoding: Encoding) -> None:
    for name, sound in SOUND:
        incoming = only(encoded({"id": 5, name: sound}, encoding), encoding)
        assert (incoming.id, incoming.name) == (5, name), incoming
        assert msgspec.json.decode(msgspec.json.encode(incoming.command)) == sound, name


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_command_with_any_wrong_field_is_refused_by_its_id_and_names_the_place(
    encoding: Encoding,
) -> None:
    accepted: list[str] = []
    for what, message in wrong_messages():
        incoming = only(encoded({"id": 7} | message, encoding), encoding)
        if not isinstance(incoming.command, FeiraError):
            accepted.append(what)
            continue
        assert isinstance(incoming.command, InvalidInput), what
        assert incoming.command.code == "request.invalid", what
        assert (incoming.command.field or "").startswith("$"), what
        assert incoming.id == 7, what
    assert accepted == []


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("identifier", [True, "1", 1.5, -1, 2**53 + 1, 2**64 - 1, [], {}])
def test_an_id_that_is_none_refuses_the_message_and_is_not_repeated(
    encoding: Encoding, identifier: Any
) -> None:
    incoming = only(encoded({"id": identifier, "ping": {}}, encoding), encoding)
    assert isinstance(incoming.command, InvalidInput)
    assert incoming.id is None


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "message", [{}, {"id": 1}, {"id": 1, "ping": {}, "typing": {"topic": TOPIC}}]
)
def test_a_message_has_exactly_one_command(encoding: Encoding, message: dict[str, Any]) -> None:
    incoming = only(encoded(message, encoding), encoding)
    assert isinstance(incoming.command, InvalidInput)
    assert incoming.id == message.get("id")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_counts_are_limited_to_the_last_one_that_is_allowed(encoding: Encoding) -> None:
    def frame_of(count: int) -> bytes:
        messages: list[Any] = [{"id": number, "ping": {}} for number in range(count)]
        if encoding == "json":
            return b"\n".join(msgspec.json.encode(message) for message in messages)
        return msgspec.msgpack.encode(messages)

    frame = decode_frame(frame_of(MESSAGES_PER_FRAME_MAX), encoding)
    assert [incoming.id for incoming in frame] == list(range(MESSAGES_PER_FRAME_MAX))
    with pytest.raises(MalformedFrame):
        decode_frame(frame_of(MESSAGES_PER_FRAME_MAX + 1), encoding)
    for count, is_allowed in ((RESUME_TOPICS_MAX, True), (RESUME_TOPICS_MAX + 1, False)):
        resume = {f"product:{UUID(int=number)}": {"seq": 0} for number in range(count)}
        connect = {"connect": {"token": "t", "resume": resume}}
        incoming = only(encoded(connect, encoding), encoding)
        assert isinstance(incoming.command, FeiraError) is not is_allowed


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_wrong_message_does_not_spoil_its_neighbours(encoding: Encoding) -> None:
    messages: list[Any] = [
        {"id": 1, "ping": {}},
        {"id": 2, "nothing": 1},
        [],
        {"id": 4, "ping": {}},
    ]
    data = (
        b"\n".join(msgspec.json.encode(message) for message in messages)
        if encoding == "json"
        else msgspec.msgpack.encode(messages)
    )
    frame = decode_frame(data, encoding)
    assert [incoming.id for incoming in frame] == [1, 2, None, 4]
    assert [isinstance(incoming.command, FeiraError) for incoming in frame] == [
        False,
        True,
        True,
        False,
    ]


# Hypothesis

PLAIN: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(data=st.binary(max_size=300), encoding=st.sampled_from(ENCODINGS))
def test_no_bytes_do_more_than_be_malformed(data: bytes, encoding: Encoding) -> None:
    try:
        frame = decode_frame(data, encoding)
    except MalformedFrame:
        return
    assert all(isinstance(incoming, Incoming) for incoming in frame)


@settings(max_examples=60)
@given(message=PLAIN | st.dictionaries(st.sampled_from([*COMMANDS, "id"]), PLAIN, max_size=3))
def test_both_encodings_say_the_same_to_the_same_message(message: Any) -> None:
    # In MessagePack a list is a frame of several messages.
    if isinstance(message, list):
        message = cast("Any", {"ping": message})
    outcomes = [only(encoded(message, encoding), encoding) for encoding in ENCODINGS]
    ids = [incoming.id for incoming in outcomes]
    errors = [
        (error.code, error.message, error.field) if isinstance(error, FeiraError) else error
        for error in (incoming.command for incoming in outcomes)
    ]
    assert ids[0] == ids[1]
    assert errors[0] == errors[1]


@settings(max_examples=40)
@given(
    messages=st.lists(st.dictionaries(st.text(max_size=8), PLAIN, min_size=1, max_size=3), min_size=1, max_size=20),
    encoding=st.sampled_from(ENCODINGS),
)  # fmt: skip
def test_joined_messages_come_apart_as_they_were(messages: list[Any], encoding: Encoding) -> None:
    joined = join_frames([encode_message(message, encoding) for message in messages], encoding)
    if encoding == "json":
        apart = [msgspec.json.decode(line) for line in joined.split(b"\n")]
    else:
        decoded: Any = msgspec.msgpack.decode(joined)
        apart = cast("list[Any]", decoded if isinstance(decoded, list) else [decoded])
    assert apart == messages


@pytest.mark.parametrize("count", [1, 2, 15, 16, 2**16 - 1, 2**16])
def test_any_number_of_messagepack_messages_is_one_array(count: int) -> None:
    nothing = Frame(b"\x80", 1)
    decoded = msgspec.msgpack.decode(join_frames([nothing] * count, "msgpack"))
    assert decoded == ({} if count == 1 else [{}] * count)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_answers_carry_the_id_and_errors_all_that_helps(encoding: Encoding) -> None:
    decode = msgspec.json.decode if encoding == "json" else msgspec.msgpack.decode
    assert decode(answer(3, "ok", {"seq": 1}, encoding).data) == {"id": 3, "ok": {"seq": 1}}
    error = TooMany("a.b", "Wait.", field="$.x", retry_after_s=1.5, details={"left": 2})
    body = {
        "code": "a.b",
        "message": "Wait.",
        "retryable": True,
        "field": "$.x",
        "retry_after": 1.5,
        "details": {"left": 2},
    }
    assert decode(error_answer(3, error, encoding).data) == {"id": 3, "error": body}
    assert decode(error_answer(None, error, encoding).data) == {"error": body}
    pushed = PushFrames({"news": 1}).encoded(encoding)
    assert (decode(pushed.data), pushed.messages) == ({"news": 1}, 1)
