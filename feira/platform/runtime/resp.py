"""One plain connection to Redis, spoken in RESP with the hiredis parser.

The bus uses it instead of redis-py's pub/sub, which reconnects and resubscribes without telling anyone (a gap
nobody hears of) and costs several times as much per message. A broken connection here is an exception, always.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import hiredis
from redis.asyncio.connection import parse_url

READ_BYTES: Final = 256 * 1024
CONNECT_TIMEOUT_S: Final = 2.0


class RespError(ConnectionError):
    """Redis refused a command, or the connection is gone."""


class RespConnection:
    """Commands out, replies in, in order. Not shared between tasks for reading."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._parser = hiredis.Reader()

    @classmethod
    async def open(cls, url: str) -> RespConnection:
        """Connect to a `redis://`, `rediss://` or `unix://` URL and sign in.

        Raises:
            OSError: there is nobody (`RespError` and `TimeoutError` are OSErrors too).
        """
        target = cast("dict[str, Any]", parse_url(url))
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if "path" in target:
                reader, writer = await asyncio.open_unix_connection(target["path"], limit=2**20)
            else:
                tls = ssl.create_default_context() if url.startswith("rediss://") else None
                reader, writer = await asyncio.open_connection(
                    target.get("host", "127.0.0.1"), target.get("port", 6379), ssl=tls, limit=2**20
                )
            connection = cls(reader, writer)
            if "password" in target:
                user = [target["username"]] if target.get("username") else []
                await connection.ask("AUTH", *user, target["password"])
        return connection

    async def ask(self, *command: str | bytes) -> object:
        """Send one command and return its reply; only while nothing else is under way.

        Raises:
            RespError: the reply is an error.
        """
        await self.send([command])
        replies: list[Any] = []
        while not replies:
            replies = await self.receive()
        assert len(replies) == 1, "one command, one reply"
        return replies[0]

    async def send(self, commands: Sequence[tuple[str | bytes, ...]]) -> None:
        """Write commands in one go and wait until the socket takes them."""
        # The stubs of hiredis know only one word a command.
        pack = cast("Callable[[tuple[str | bytes, ...]], bytes]", hiredis.pack_command)
        self._writer.write(b"".join(pack(command) for command in commands))
        await self._writer.drain()

    async def receive(self) -> list[Any]:
        """Return the replies and pushed messages that one read brings, perhaps none.

        Raises:
            RespError: the connection is closed, or a reply is an error.
        """
        data = await self._reader.read(READ_BYTES)
        if not data:
            raise RespError("Redis closed the connection")
        self._parser.feed(data)
        replies: list[Any] = []
        while (reply := self._parser.gets()) is not False:
            if isinstance(reply, hiredis.ReplyError):
                raise RespError(f"Redis refused a command: {reply}")
            replies.append(reply)
        return replies

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(0.5):
                await self._writer.wait_closed()
