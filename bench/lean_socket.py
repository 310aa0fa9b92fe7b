"""A WebSocket client that costs next to nothing, so that a figure shows the server's time and not its own.

Text frames only, whole ones; what a server of ours sends to a client that it never has to ping.
"""

from __future__ import annotations

import asyncio
import base64
import os
from typing import Final, cast
from urllib.parse import urlsplit

_SHORT_MAX: Final = 125
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127
_TEXT: Final = 0x81
_MASKED: Final = 0x80
# RFC 6455, 5.3, lets the client choose its key; with this one, masking is the identity.
_KEY: Final = bytes(4)
_PATIENCE_S: Final = 10.0


class LeanSocket(asyncio.Protocol):
    """One connection. Not for two readers at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._arrived: asyncio.Future[None] | None = None
        self._is_lost = False

    @classmethod
    async def open(cls, url: str, path: str, protocol: str) -> LeanSocket:
        """Connect and shake hands.

        Raises:
            RuntimeError: the server did not want to.
        """
        parts = urlsplit(url)
        assert parts.hostname is not None, f"{url} names a host"
        loop = asyncio.get_running_loop()
        _, socket = await loop.create_connection(cls, parts.hostname, parts.port or 80)
        await socket.shake_hands(parts.netloc, path, protocol)
        return socket

    async def shake_hands(self, host: str, path: str, protocol: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self._write(
            (
                f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
            ).encode()
        )
        while b"\r\n\r\n" not in self._data:
            await self._more()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        if b" 101 " not in head:
            raise RuntimeError(f"no WebSocket: {head.decode()}")

    def send(self, text: bytes) -> None:
        """Write a text frame."""
        size = len(text)
        if size <= _SHORT_MAX:
            head = bytes((_TEXT, _MASKED | size))
        else:
            head = bytes((_TEXT, _MASKED | _TWO_BYTES)) + size.to_bytes(2, "big")
        self._write(head + _KEY + text)

    async def receive(self) -> bytes:
        """Wait for the next text frame.

        Raises:
            RuntimeError: the server ended the connection, or sent something else.
        """
        while (frame := self._take()) is None:
            await self._more()
        return frame

    def close(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._is_lost = True
        self._wake()

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def _more(self) -> None:
        if self._is_lost:
            raise RuntimeError("the server ended the connection")
        loop = asyncio.get_running_loop()
        self._arrived = loop.create_future()
        late = loop.call_later(_PATIENCE_S, self.close)
        await self._arrived
        late.cancel()

    def _take(self) -> bytes | None:
        data = self._data
        if len(data) < 2:
            return None
        if data[0] != _TEXT:
            raise RuntimeError(f"not a text frame: {data[:80]!r}")
        size, begin = data[1], 2
        if size >= _TWO_BYTES:
            begin = 4 if size == _TWO_BYTES else 10
            if len(data) < begin:
                return None
            size = int.from_bytes(data[2:begin], "big")
        if len(data) < begin + size:
            return None
        self._data = data[begin + size :]
        return data[begin : begin + size]
