"""RFC 6455 by hand, from the client's side: every byte is the test's own choice. What the server sends is checked."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, cast

import msgspec

SOCKET_PATH: Final = "/v1/socket"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
CONTROL: Final = (CLOSE, PING, PONG)
_ACCEPT_SUFFIX: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PATIENCE_S: Final = 20.0


class Frame(NamedTuple):
    """One frame of the server."""

    opcode: int
    payload: bytes
    fin: bool = True

    @property
    def close_code(self) -> int | None:
        return int.from_bytes(self.payload[:2], "big") if self.payload else None

    @property
    def messages(self) -> list[dict[str, Any]]:
        if self.opcode == TEXT:
            return [msgspec.json.decode(line) for line in self.payload.split(b"\n")]
        decoded: Any = msgspec.msgpack.decode(self.payload)
        return cast("list[dict[str, Any]]", decoded if isinstance(decoded, list) else [decoded])


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    mask: bytes | None = b"\x12\xa7\x00\xff",
    length_bytes: int | None = None,
) -> bytes:
    """One frame of a client. `length_bytes` (0, 2 or 8) forces a form of the length; without a mask it is wrong."""
    size = len(payload)
    if length_bytes is None:
        length_bytes = 0 if size < 126 else 2 if size < 2**16 else 8
    short = {0: size, 2: 126, 8: 127}[length_bytes]
    head = bytes((fin << 7 | reserved << 4 | opcode, (mask is not None) << 7 | short))
    head += size.to_bytes(length_bytes, "big") if length_bytes else b""
    if mask is None:
        return head + payload
    # One long exclusive or: a byte at a time would take seconds for what the tests send.
    key = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return head + mask + masked.to_bytes(size, "big")


def text(message: object) -> bytes:
    """A command as one text frame."""
    return frame(TEXT, msgspec.json.encode(message))


def fragments(opcode: int, payload: bytes, size: int) -> bytes:
    """A message in frames of so many bytes."""
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    return b"".join(
        frame(opcode if number == 0 else CONTINUATION, piece, fin=number == len(pieces) - 1)
        for number, piece in enumerate(pieces)
    )


def handshake_request(
    headers: Mapping[str, str | None] | None = None,
    *,
    path: str = SOCKET_PATH,
    start: str | None = None,
) -> bytes:
    """The opening handshake; `headers` replace those of a sound one, None leaves one out."""
    fields: dict[str, str | None] = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Protocol": "feira.v1.json",
    }
    fields.update(headers or {})
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([start or f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


class Answer(NamedTuple):
    """The head of an HTTP answer."""

    status: int
    headers: dict[str, str]


class RawSocket:
    """A TCP connection to the server, before and after the handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.unread: list[dict[str, Any]] = []

    async def shake_hands(self, headers: Mapping[str, str | None] | None = None) -> Answer:
        """Send a handshake and read the answer; a 101 is checked."""
        request = handshake_request(headers)
        self.writer.write(request)
        answer = await self.answer()
        if answer.status == 101:
            key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
            digest = hashlib.sha1(key + _ACCEPT_SUFFIX, usedforsecurity=False).digest()
            assert answer.headers["sec-websocket-accept"] == base64.b64encode(digest).decode()
            assert answer.headers["upgrade"].lower() == "websocket"
            assert answer.headers["connection"].lower() == "upgrade"
            assert "sec-websocket-extensions" not in answer.headers
        return answer

    async def answer(self) -> Answer:
        async with asyncio.timeout(_PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = [line.partition(": ") for line in head[1:] if line]
        return Answer(
            status=int(head[0].split()[1]),
            headers={name.lower(): value for name, _, value in fields},
        )

    def send(self, data: bytes) -> None:
        """Hand bytes to the kernel, or to a queue if it is full."""
        self.writer.write(data)

    async def sent(self) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            await self.writer.drain()

    async def receive(self, *, within_s: float = _PATIENCE_S) -> Frame | None:
        """The server's next frame; None when it closed the connection, however."""
        try:
            async with asyncio.timeout(within_s):
                first, second = await self.reader.readexactly(2)
                assert not second & 0x80, "5.1: a server must not mask"
                assert not first & 0x70, "5.2: no extension was negotiated"
                size = second
                if size >= 126:
                    wide = 2 if size == 126 else 8
                    size = int.from_bytes(await self.reader.readexactly(wide), "big")
                    assert size >= (126 if wide == 2 else 2**16), "5.2: the shortest length"
                payload = await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        received = Frame(opcode=first & 0x0F, payload=payload, fin=first >= 0x80)
        if received.opcode in CONTROL:
            assert received.fin, "5.5"
            assert size <= 125, "5.5"
        if received.opcode == TEXT:
            payload.decode()
        return received

    async def ask(self, identifier: int, **command: Any) -> dict[str, Any]:
        """Send a command and return its answer; what is pushed meanwhile is kept in `unread`."""
        self.send(text({"id": identifier} | command))
        return await self.told(lambda message: message.get("id") == identifier)

    async def told(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first message that is wanted, of those kept and those to come."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                for message in self.unread:
                    if wanted(message):
                        self.unread.remove(message)
                        return message
                received = await self.receive()
                assert received is not None, f"lost; unread: {self.unread}"
                assert received.opcode != CLOSE, f"closed with {received.close_code}"
                if received.opcode == TEXT:
                    self.unread += received.messages
                elif received.opcode == PING:
                    self.send(frame(PONG, received.payload))

    async def closed(self, *, answering: bool = True) -> int | None:
        """Read to the end of the connection and return the code of the close frame; None if there was none."""
        code = None
        async with asyncio.timeout(_PATIENCE_S):
            while (received := await self.receive()) is not None:
                assert code is None, f"5.5.1: {received} after the close frame"
                if received.opcode == CLOSE:
                    code = received.close_code or 0
                    if answering:
                        self.send(frame(CLOSE, received.payload[:2]))
                elif received.opcode in {TEXT, BINARY}:
                    self.unread += received.messages
        return code

    def stall(self) -> None:
        """Take nothing more from the kernel, and so soon nothing from the network."""
        transport: Any = self.writer.transport
        transport.pause_reading()

    def resume(self) -> None:
        transport: Any = self.writer.transport
        transport.resume_reading()


@asynccontextmanager
async def tcp(port: int, *, receive_buffer: int | None = None) -> AsyncGenerator[RawSocket]:
    """A TCP connection to the server on this machine. A small receive buffer fills soon."""
    plain = socket.socket()
    plain.setblocking(False)
    if receive_buffer is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=plain)
    try:
        yield RawSocket(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def raw_socket(
    port: int, *, subprotocol: str = "feira.v1.json", receive_buffer: int | None = None
) -> AsyncGenerator[RawSocket]:
    """A WebSocket, open and not signed in."""
    async with tcp(port, receive_buffer=receive_buffer) as raw:
        answer = await raw.shake_hands({"Sec-WebSocket-Protocol": subprotocol})
        assert answer.status == 101, answer
        assert answer.headers["sec-websocket-protocol"] == subprotocol
        yield raw
