"""Cases of section 4, the opening handshake, and of sections 5.5.1 and 7, closing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.integration.conformance.case import (
    END,
    INVALID_TEXT,
    PROTOCOL_ERROR,
    Case,
    HandshakeCase,
    octets,
    ping_of_bytes,
)
from tests.raw_socket import CLOSE, CONTINUATION, PING, TEXT, frame, handshake_request

_OPENED: Final = ("status 101", "sec-websocket-protocol feira.v1.json")
_REFUSED: Final = ("status 400",)
_OTHER_VERSION: Final = ("status 426", "sec-websocket-version 13")
_CHANGES: Final[list[tuple[str, str, dict[str, str | None], tuple[str, ...]]]] = [
    ("a sound handshake", "4.2.1", {}, _OPENED),
    ("Upgrade in other letters", "4.2.1", {"Upgrade": "WebSocket"}, _OPENED),
    ("Connection with more tokens", "4.2.1", {"Connection": "keep-alive, Upgrade"}, _OPENED),
    ("an unknown extension", "9.1", {"Sec-WebSocket-Extensions": "x-unknown"}, _OPENED),
    ("compression, which is declined", "9.1", {"Sec-WebSocket-Extensions": "permessage-deflate"}, _OPENED),
    ("the first protocol that is known", "4.2.2", {"Sec-WebSocket-Protocol": "soap, feira.v1.msgpack, feira.v1.json"}, ("status 101", "sec-websocket-protocol feira.v1.msgpack")),
    ("no protocol", "4.2.2", {"Sec-WebSocket-Protocol": None}, ("status 101",)),
    ("an unknown protocol", "4.2.2", {"Sec-WebSocket-Protocol": "soap"}, ("status 101",)),
    ("no Upgrade", "4.2.1", {"Upgrade": None}, _REFUSED),
    ("an upgrade to something else", "4.2.1", {"Upgrade": "h2c"}, _REFUSED),
    ("no Connection", "4.2.1", {"Connection": None}, _REFUSED),
    ("a Connection that closes", "4.2.1", {"Connection": "close"}, _REFUSED),
    ("no key", "4.2.1", {"Sec-WebSocket-Key": None}, _REFUSED),
    ("an empty key", "4.2.1", {"Sec-WebSocket-Key": ""}, _REFUSED),
    ("a key of 15 bytes", "4.2.1", {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAA"}, _REFUSED),
    ("a key that is not base64", "4.2.1", {"Sec-WebSocket-Key": "%" * 24}, _REFUSED),
    ("no version", "4.4", {"Sec-WebSocket-Version": None}, _OTHER_VERSION),
    ("version 8", "4.4", {"Sec-WebSocket-Version": "8"}, _OTHER_VERSION),
    ("version 14", "4.4", {"Sec-WebSocket-Version": "14"}, _OTHER_VERSION),
    ("a body", "4.1", {"Content-Length": "4"}, _REFUSED),
]  # fmt: skip


def opening_cases() -> Iterator[HandshakeCase]:
    for number, (title, clause, headers, expected) in enumerate(_CHANGES, 1):
        body = b"body" if "Content-Length" in headers else b""
        yield HandshakeCase(
            id=f"0.1.{number}",
            clause=clause,
            title=title,
            request=handshake_request(headers) + body,
            expected=expected,
        )
    for number, (start, expected) in enumerate(
        (("POST /v1/socket HTTP/1.1", ("status 405",)), ("GET /v1/socket HTTP/1.0", _REFUSED)), 1
    ):
        yield HandshakeCase(
            id=f"0.2.{number}",
            clause="4.1",
            title=start,
            request=handshake_request(start=start),
            expected=expected,
        )


def closing_cases() -> Iterator[Case]:
    ping, whole = frame(PING, b"late"), frame(TEXT, ping_of_bytes(60))
    closed = ("close 1000", END)
    sequences: list[tuple[str, str, tuple[bytes, ...], tuple[str, ...]]] = [
        ("a message, then close", "7.1.2", (whole, _close(1000)), ("ok 1", *closed)),
        ("close twice", "5.5.1", (_close(1000) * 2,), closed),
        ("a ping after close", "5.5.1", (_close(1000) + ping,), closed),
        ("a message after close", "5.5.1", (_close(1000) + whole,), closed),
        ("garbage after close", "5.5.1", (_close(1000) + b"\xff" * 50,), closed),
        ("close between fragments", "5.4", (frame(TEXT, b"x", fin=False) + _close(1000) + frame(CONTINUATION),), closed),
        ("close byte by byte", "5.5.1", octets(_close(1000, b"adeus")), closed),
        ("the longest message, then close and a ping", "7.1.2", (frame(TEXT, ping_of_bytes(65_535)) + _close(1000) + ping,), ("ok 1", *closed)),
    ]  # fmt: skip
    for number, (title, clause, sends, expected) in enumerate(sequences, 1):
        yield Case(id=f"7.1.{number}", clause=clause, title=title, sends=sends, expected=expected)
    payloads: list[tuple[str, bytes, tuple[str, ...]]] = [
        ("without a payload", b"", ("close", END)),
        ("with one byte", b"\x03", PROTOCOL_ERROR),
        ("with a code", b"\x03\xe8", closed),
        ("with a code and a reason", b"\x03\xe8hello", closed),
        ("with the longest reason", b"\x03\xe8" + b"x" * 123, closed),
        ("with a reason that is too long", b"\x03\xe8" + b"x" * 124, PROTOCOL_ERROR),
        ("with a reason that is not UTF-8", b"\x03\xe8\xce\xba\xe1\xbd\xb9\xed\xa0\x80", INVALID_TEXT),
        ("with a reason that is cut in a character", b"\x03\xe8\xe2\x82", INVALID_TEXT),
    ]  # fmt: skip
    for number, (title, payload, expected) in enumerate(payloads, 1):
        yield Case(
            id=f"7.2.{number}",
            clause="5.5.1",
            title=f"close {title}",
            sends=(frame(CLOSE, payload),),
            expected=expected,
        )
    for code in (
        1000,
        1001,
        1002,
        1003,
        1007,
        1008,
        1009,
        1010,
        1011,
        1012,
        1013,
        1014,
        3000,
        3999,
        4000,
        4999,
    ):
        yield Case(
            id=f"7.3.{code}",
            clause="7.4",
            title=f"close with {code}",
            sends=(_close(code),),
            expected=(f"close {code}", END),
        )
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield Case(
            id=f"7.4.{code}",
            clause="7.4",
            title=f"close with {code}, which is never sent",
            sends=(_close(code),),
            expected=PROTOCOL_ERROR,
        )


def _close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)
