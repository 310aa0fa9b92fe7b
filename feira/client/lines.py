"""What a client is connected by: a WebSocket, or, where a network refuses those, a stream and posts (docs/socket.md).

Either is opened with a first message, `connect`, carries messages both ways, and is read to its end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, cast

import aiohttp
import msgspec

# The server's frames aim at 64 KiB; a long replay may be one message.
FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
WEBSOCKET_TRIES: Final = 3

Encoding = Literal["json", "msgpack"]
Transport = Literal["auto", "websocket", "http"]


class Line(ABC):
    """One connection: made once, and lost once."""

    def __init__(self) -> None:
        self.close_code: int | None = None
        """How the server ended it, once it is read to its end."""

    @abstractmethod
    async def send(self, message: dict[str, Any]) -> None:
        """Hand a message over, after those before; it may be lost with the line."""

    @abstractmethod
    def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What the server says, until the line ends.

        Raises:
            aiohttp.ClientError, OSError: it broke.
        """

    @abstractmethod
    def abort(self) -> None:
        """Break it, as a bad network would."""


class WebSocketLine(Line):
    """A WebSocket in either encoding."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, encoding: Encoding) -> None:
        super().__init__()
        self._socket = socket
        self._encoding: Encoding = encoding

    async def send(self, message: dict[str, Any]) -> None:
        if self._socket.closed:
            return
        try:
            if self._encoding == "json":
                await self._socket.send_str(msgspec.json.encode(message).decode())
            else:
                await self._socket.send_bytes(msgspec.msgpack.encode(message))
        except (ConnectionError, aiohttp.ClientError):
            # The reader notices as well.
            return

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        async for frame in self._socket:
            for message in self._decode(frame):
                yield message
        self.close_code = self._socket.close_code

    def abort(self) -> None:
        connection = self._socket._conn  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        if connection is not None and connection.transport is not None:
            connection.transport.abort()

    def _decode(self, frame: aiohttp.WSMessage) -> list[dict[str, Any]]:
        if frame.type is aiohttp.WSMsgType.ERROR:
            # aiohttp's word for a pong that did not come.
            raise ConnectionError(f"the server fell silent: {frame.data}")
        if frame.type is aiohttp.WSMsgType.TEXT:
            return [msgspec.json.decode(line) for line in frame.data.split("\n")]
        decoded = msgspec.msgpack.decode(frame.data)
        return cast("list[dict[str, Any]]", decoded if isinstance(decoded, list) else [decoded])


@asynccontextmanager
async def open_websocket(
    http: aiohttp.ClientSession,
    url: str,
    first: dict[str, Any],
    *,
    encoding: Encoding,
    heartbeat_s: float,
) -> AsyncGenerator[Line]:
    """Shake hands at `url` and say the first message."""
    async with http.ws_connect(
        url,
        protocols=[f"feira.v1.{encoding}"],
        max_msg_size=FRAME_BYTES_MAX,
        # A server that fell silent is noticed by its missing pong.
        heartbeat=heartbeat_s,
    ) as socket:
        line = WebSocketLine(socket, encoding)
        await line.send(first)
        yield line


class Way:
    """Which kind of line comes next.

    With `auto` it is a WebSocket, until three in a row did not open although somebody was there; then a stream. After
    each stream one WebSocket is tried again, for the network may be another.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport: Transport = transport
        self._unopened = 0
        self.is_websocket = transport != "http"

    def choose(self) -> bool:
        """Whether the line that is made now is a WebSocket."""
        if self._transport == "auto":
            self.is_websocket = self._unopened < WEBSOCKET_TRIES
            self._unopened = self._unopened + 1 if self.is_websocket else WEBSOCKET_TRIES - 1
        return self.is_websocket

    def opened(self) -> None:
        """The line works."""
        if self.is_websocket:
            self._unopened = 0

    def nobody_there(self) -> None:
        """Where nobody listens, nobody refused a WebSocket."""
        if self.is_websocket:
            self._unopened = max(0, self._unopened - 1)
