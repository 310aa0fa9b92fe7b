"""One conformance case: what a client sends, and what the server must say to it.

The endpoint is no echo. `ping` of Feira's own protocol stands in for one: arriving whole it is answered `ok` with its
id. A message that arrives whole but is no command is answered with an error, and the socket, which is not signed in,
is closed with 3501: its frames were in order. What breaks RFC 6455 never gets that far.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from tests.raw_socket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Frame,
    RawSocket,
    frame,
    raw_socket,
    tcp,
)

_PROBE: Final = b"still there?"
_WITHIN_S: Final = 15.0
END: Final = "end"
PROTOCOL_ERROR: Final = ("close 1002", END)
INVALID_TEXT: Final = ("close 1007", END)
TOO_BIG: Final = ("close 1009", END)
REFUSED_BY_FEIRA: Final = ("error 1", "close 3501", END)
"""The frames were in order, and what they brought is no command."""


def ping_of_bytes(size: int) -> bytes:
    """Feira's `ping` in so many bytes; JSON may end in blanks."""
    command = b'{"id":1,"ping":{}}'
    assert size >= len(command)
    return command.ljust(size)


def octets(data: bytes) -> tuple[bytes, ...]:
    """Byte by byte."""
    return tuple(data[at : at + 1] for at in range(len(data)))


@dataclass(frozen=True, kw_only=True)
class Case:
    """Bytes on an open socket. `expected` has answers such as `ok 1`, then `pong …`, `close 1002` and `end`.

    Where `expected` does not end the connection, it must still answer a ping afterwards.
    """

    id: str
    clause: str
    title: str
    sends: tuple[bytes, ...]
    expected: tuple[str, ...]
    or_else: tuple[str, ...] | None = None
    """What is as good: whether a message is answered before a violation that came with it is a matter of luck."""
    subprotocol: str = "feira.v1.json"

    async def run(self, port: int) -> tuple[str, ...]:
        """Play the case; returns what the server said."""
        async with raw_socket(port, subprotocol=self.subprotocol) as raw:
            for piece in self.sends:
                raw.send(piece)
                await raw.sent()
                if len(self.sends) > 1:
                    # The server's turn, so that pieces arrive as pieces.
                    await asyncio.sleep(0)
            if END not in self.expected:
                raw.send(frame(PING, _PROBE))
            return await _said(raw, len(self.expected))


@dataclass(frozen=True, kw_only=True)
class HandshakeCase:
    """A request that opens a socket, or does not."""

    id: str
    clause: str
    title: str
    request: bytes
    expected: tuple[str, ...]
    or_else: tuple[str, ...] | None = None

    async def run(self, port: int) -> tuple[str, ...]:
        async with tcp(port) as raw:
            raw.send(self.request)
            answer = await raw.answer()
            named = ("sec-websocket-version", "sec-websocket-protocol")
            headers = [f"{name} {answer.headers[name]}" for name in named if name in answer.headers]
            return (f"status {answer.status}", *headers)


async def _said(raw: RawSocket, expected: int) -> tuple[str, ...]:
    """Read until the connection ends, or the probe and all that is expected were answered.

    Answers and control frames are kept apart: RFC 6455 does not order a pong among messages.
    """
    messages: list[str] = []
    controls: list[str] = []
    is_alive = False
    try:
        async with asyncio.timeout(_WITHIN_S):
            while not is_alive or len(messages) + len(controls) < expected:
                received = await raw.receive()
                if received is None:
                    controls.append(END)
                    break
                if received.opcode == PONG and received.payload == _PROBE:
                    is_alive = True
                elif received.opcode in {TEXT, BINARY}:
                    messages += _messages(received)
                else:
                    controls.append(_control(raw, received))
    except TimeoutError:
        controls.append("silence")
    return tuple(messages + controls)


def _messages(received: Frame) -> list[str]:
    """Answers by their id; what else is said (`disconnect`) belongs to Feira's protocol, not to RFC 6455."""
    return [
        f"{kind} {message.get('id', '')}".strip()
        for message in received.messages
        for kind in ("ok", "error")
        if kind in message
    ]


def _control(raw: RawSocket, received: Frame) -> str:
    if received.opcode == PONG:
        return f"pong {received.payload.hex()}"
    if received.opcode == CLOSE:
        # 5.5.1: answered, so that the server may close TCP.
        raw.send(frame(CLOSE, received.payload[:2]))
        return f"close {received.close_code or ''}".strip()
    return f"opcode {received.opcode}"
