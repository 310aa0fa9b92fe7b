"""Cases of section 5: lengths, control frames, reserved bits and opcodes, fragments, masks, limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from tests.integration.conformance.case import (
    END,
    PROTOCOL_ERROR,
    REFUSED_BY_FEIRA,
    TOO_BIG,
    Case,
    octets,
    ping_of_bytes,
)
from tests.raw_socket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, fragments, frame

MESSAGE_BYTES_MAX: Final = 64 * 1024
NAMES: Final = {
    CONTINUATION: "continuation",
    TEXT: "text",
    BINARY: "binary",
    CLOSE: "close",
    PING: "ping",
    PONG: "pong",
}
_SIZES: Final = (23, 125, 126, 127, 128, 1_000, 65_535, MESSAGE_BYTES_MAX)


def framing_cases() -> Iterator[Case]:
    yield from _lengths()
    yield from _control_frames()
    yield from _reserved_bits()
    yield from _opcodes()
    yield from _sound_fragments()
    yield from _broken_fragments()
    yield from _masks()
    yield from _limits()


def _lengths() -> Iterator[Case]:
    for size in _SIZES:
        payload = ping_of_bytes(size)
        ways: list[tuple[str, tuple[bytes, ...]]] = [
            ("", (frame(TEXT, payload),)),
            (" in fragments", (fragments(TEXT, payload, 97),)),
        ]
        if size < 1_000:
            ways.append((" byte by byte", octets(frame(TEXT, payload))))
        for way, sends in ways:
            yield Case(
                id=f"1.1.{size}{way.replace(' ', '-')}",
                clause="5.2",
                title=f"text of {size:,} bytes{way}",
                sends=sends,
                expected=("ok 1",),
            )
        yield Case(
            id=f"1.2.{size}",
            clause="5.2",
            title=f"binary of {size:,} bytes",
            sends=(frame(BINARY, _packed_of_bytes(size)),),
            expected=REFUSED_BY_FEIRA,
            subprotocol="feira.v1.msgpack",
        )
    yield Case(
        id="1.1.0",
        clause="5.2",
        title="text of no bytes, which is no command",
        sends=(frame(TEXT),),
        expected=(),
    )
    yield Case(
        id="1.2.0",
        clause="5.2",
        title="binary of no bytes, which is not MessagePack",
        sends=(frame(BINARY),),
        expected=("close 3501", END),
        subprotocol="feira.v1.msgpack",
    )
    yield Case(
        id="1.3",
        clause="5.6",
        title="binary where text was agreed on",
        sends=(frame(BINARY, ping_of_bytes(60)),),
        expected=("close 3501", END),
    )


def _packed_of_bytes(size: int) -> bytes:
    """A MessagePack map of so many bytes that is no command."""
    # Heads of strings grow with them.
    packed = (
        msgspec.msgpack.encode({"id": 1, "no command": "x" * length})
        for length in range(size, -1, -1)
    )
    return next(command for command in packed if len(command) == size)


def _control_frames() -> Iterator[Case]:
    for size, payload in (
        (0, b""),
        (5, b"hello"),
        (8, b"\x00\xff\xfe\x80\xc0\xfb\x00\xff"),
        (125, b"\xfe" * 125),
    ):
        for way, sends in (
            ("", (frame(PING, payload),)),
            (" byte by byte", octets(frame(PING, payload))),
        ):
            yield Case(
                id=f"2.1.{size}{way.replace(' ', '-')}",
                clause="5.5.2",
                title=f"ping of {size} bytes{way}",
                sends=sends,
                expected=(_pong(payload),),
            )
    for opcode in (PING, PONG, CLOSE):
        yield Case(
            id=f"2.2.{NAMES[opcode]}",
            clause="5.5",
            title=f"{NAMES[opcode]} of 126 bytes",
            sends=(frame(opcode, b"\x03\xe8" + b"x" * 124),),
            expected=PROTOCOL_ERROR,
        )
    yield Case(
        id="2.3",
        clause="5.5.3",
        title="pongs that nobody asked for, then a ping",
        sends=(frame(PONG) + frame(PONG, b"unasked") + frame(PING, b"a"),),
        expected=(_pong(b"a"),),
    )
    ten = [b"%d" % number for number in range(10)]
    pings = b"".join(frame(PING, payload) for payload in ten)
    for way, sends in (("at once", (pings,)), ("byte by byte", octets(pings))):
        yield Case(
            id=f"2.4.{way.replace(' ', '-')}",
            clause="5.5.3",
            title=f"ten pings {way}",
            sends=sends,
            expected=tuple(_pong(payload) for payload in ten),
        )


def _pong(payload: bytes) -> str:
    return f"pong {payload.hex()}"


def _reserved_bits() -> Iterator[Case]:
    for bits in range(1, 8):
        for opcode, name in NAMES.items():
            before = frame(TEXT, b"x", fin=False) if opcode == CONTINUATION else b""
            yield Case(
                id=f"3.{bits}.{name}",
                clause="5.2",
                title=f"reserved bits {bits:03b} on {name}",
                sends=(before + frame(opcode, reserved=bits),),
                expected=PROTOCOL_ERROR,
            )
    yield Case(
        id="3.8",
        clause="5.2",
        title="a sound message, then reserved bits",
        sends=(frame(TEXT, ping_of_bytes(60)), frame(PING, reserved=4)),
        expected=("ok 1", *PROTOCOL_ERROR),
        or_else=PROTOCOL_ERROR,
    )


def _opcodes() -> Iterator[Case]:
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        for number, (name, data) in enumerate(
            (
                ("empty", frame(opcode)),
                ("with a payload", frame(opcode, b"reserved")),
                ("unfinished", frame(opcode, b"reserved", fin=False)),
                ("between fragments", frame(TEXT, b"x", fin=False) + frame(opcode)),
            ),
            1,
        ):
            yield Case(
                id=f"4.{opcode}.{number}",
                clause="5.2",
                title=f"reserved opcode {opcode:#x}, {name}",
                sends=(data,),
                expected=PROTOCOL_ERROR,
            )


def _sound_fragments() -> Iterator[Case]:
    whole = ping_of_bytes(60)
    first, last = frame(TEXT, whole[:9], fin=False), frame(CONTINUATION, whole[9:])
    empty, ended = frame(TEXT, fin=False), frame(CONTINUATION)
    sound: list[tuple[str, tuple[bytes, ...], tuple[str, ...]]] = [
        ("two fragments", (first, last), ("ok 1",)),
        ("a ping between fragments", (first, frame(PING, b"mid"), last), ("ok 1", _pong(b"mid"))),
        ("a pong between fragments", (first, frame(PONG), last), ("ok 1",)),
        ("a fragment for each byte", (fragments(TEXT, whole, 1),), ("ok 1",)),
        (
            "empty fragments first and last",
            (empty, frame(CONTINUATION, whole, fin=False), ended),
            ("ok 1",),
        ),
        ("nothing but empty fragments", (empty, ended), ()),
        ("two messages in fragments", (first, last, first, last), ("ok 1", "ok 1")),
    ]
    for number, (title, sends, expected) in enumerate(sound, 1):
        yield Case(id=f"5.1.{number}", clause="5.4", title=title, sends=sends, expected=expected)
        together = b"".join(sends)
        yield Case(
            id=f"5.2.{number}",
            clause="5.4",
            title=f"{title}, in one piece",
            sends=(together,),
            expected=expected,
        )
        yield Case(
            id=f"5.3.{number}",
            clause="5.4",
            title=f"{title}, byte by byte",
            sends=octets(together),
            expected=expected,
        )


def _broken_fragments() -> Iterator[Case]:
    whole = ping_of_bytes(60)
    first, last = frame(TEXT, whole[:9], fin=False), frame(CONTINUATION, whole[9:])
    empty = frame(TEXT, fin=False)
    broken: list[tuple[str, bytes, tuple[str, ...]]] = [
        ("a continuation of nothing", frame(CONTINUATION, whole), ()),
        ("an unfinished continuation of nothing", frame(CONTINUATION, whole, fin=False), ()),
        ("a continuation after a message", first + last + frame(CONTINUATION, b" "), ("ok 1",)),
        ("a message between fragments", first + frame(TEXT, whole), ()),
        ("a second beginning", first + first, ()),
        ("a second beginning of another kind", first + frame(BINARY, b"x", fin=False), ()),
        ("a message after an empty beginning", empty + frame(TEXT, whole), ()),
        ("a second beginning after an empty one", empty + first, ()),
    ]
    for number, (title, data, before) in enumerate(broken, 1):
        for chopped, sends in ((1, (data,)), (2, octets(data))):
            yield Case(
                id=f"5.4.{number}.{chopped}",
                clause="5.4",
                title=title + (", byte by byte" if chopped > 1 else ""),
                sends=sends,
                expected=before + PROTOCOL_ERROR,
                or_else=PROTOCOL_ERROR,
            )
    for opcode in (PING, PONG, CLOSE):
        yield Case(
            id=f"5.5.{NAMES[opcode]}",
            clause="5.5",
            title=f"{NAMES[opcode]} in fragments",
            sends=(frame(opcode, fin=False) + frame(CONTINUATION),),
            expected=PROTOCOL_ERROR,
        )


def _masks() -> Iterator[Case]:
    whole = ping_of_bytes(60)
    for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x00\x00\x00\x01", b"\x80\x00\x00\x00"):
        yield Case(
            id=f"8.1.{mask.hex()}",
            clause="5.3",
            title=f"masked with {mask.hex()}",
            sends=(frame(TEXT, whole, mask=mask),),
            expected=("ok 1",),
        )
    for opcode, name in NAMES.items():
        before = frame(TEXT, whole[:9], fin=False) if opcode == CONTINUATION else b""
        yield Case(
            id=f"8.2.{name}",
            clause="5.1",
            title=f"{name} without a mask",
            sends=(before + frame(opcode, mask=None),),
            expected=PROTOCOL_ERROR,
        )


def _limits() -> Iterator[Case]:
    over = b" " * (MESSAGE_BYTES_MAX + 1)
    broken: list[tuple[str, str, bytes, tuple[str, ...]]] = [
        ("one byte over 64 KiB", "10.4", frame(TEXT, over), TOO_BIG),
        ("one byte over 64 KiB in fragments", "10.4", fragments(TEXT, over, 5_000), TOO_BIG),
        ("a head that announces 1 GiB", "10.4", b"\x81\xff" + (2**30).to_bytes(8, "big"), TOO_BIG),
        ("a head that announces 2**63 - 1", "10.4", b"\x81\xff\x7f" + b"\xff" * 7, TOO_BIG),
        ("a length with its highest bit set", "5.2", b"\x81\xff\x80" + b"\0" * 7, PROTOCOL_ERROR),
        ("125 bytes, in the form of 2", "5.2", frame(TEXT, b" " * 125, length_bytes=2), PROTOCOL_ERROR),
        ("125 bytes, in the form of 8", "5.2", frame(TEXT, b" " * 125, length_bytes=8), PROTOCOL_ERROR),
        ("65,535 bytes, in the form of 8", "5.2", frame(TEXT, b" " * 65_535, length_bytes=8), PROTOCOL_ERROR),
    ]  # fmt: skip
    for number, (title, clause, data, expected) in enumerate(broken, 1):
        yield Case(id=f"9.{number}", clause=clause, title=title, sends=(data,), expected=expected)
