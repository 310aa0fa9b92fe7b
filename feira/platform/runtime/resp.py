"""One plain connection to Redis, spoken in RESP with the hiredis parser.

The bus uses it instead of redis-py's pub/sub, which reconnects and resubscribes without telling anyone (a gap
nobody hears of), knows no sharded channels and costs several times as much per message. A broken connection here
is an exception, always.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import hiredis

from feira.platform.runtime.redis_url import Address, Login

Command = tuple[str | bytes, ...]
# The stubs of hiredis know only one word a command.
_pack = cast("Callable[[Command], bytes]", hiredis.pack_command)

READ_BYTES: Final = 256 * 1024
CONNECT_TIMEOUT_S: Final = 2.0


class RespError(ConnectionError):
    """Redis refused a command, or the connection is gone."""


class RespConnection:
    """Commands out, replies in, in order. Not shared between tasks for reading."""

    def __init__(
        self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.address: Final = address
        self._reader = reader
        self._writer = writer
        self._parser = hiredis.Reader()

    @classmethod
    async def open(cls, address: Address, login: Login) -> RespConnection:
        """Connect and sign in.

        Raises:
            OSError: there is nobody, or not for us (`RespError` and `TimeoutError` are OSErrors too).
        """
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if address.port:
                tls = ssl.create_default_context(cafile=login.ca_file) if login.tls else None
                reader, writer = await asyncio.open_connection(*address, ssl=tls, limit=2**20)
            else:
                reader, writer = await asyncio.open_unix_connection(address.host, limit=2**20)
            connection = cls(address, reader, writer)
            try:
                if login.password:
                    user = [login.user] if login.user else []
                    await connection.ask("AUTH", *user, login.password)
            except BaseException:
                await connection.close()
                raise
        return connection

    async def ask(self, *command: str | bytes) -> Any:  # noqa: ANN401 - its shape is the command's
        """Send one command and return its reply; only while nothing else is under way.

        Raises:
            RespError: the reply is an error, or there will be none.
        """
        await self.send([command])
        replies: list[Any] = []
        while not replies:
            replies = await self.receive()
        assert len(replies) == 1, "one command, one reply"
        if isinstance(replies[0], hiredis.ReplyError):
            raise refusal(replies[0])
        return replies[0]

    async def send(self, commands: Sequence[Command]) -> None:
        """Write commands in one go and wait until the socket takes them."""
        self.write(commands)
        await self._writer.drain()

    def write(self, commands: Sequence[Command]) -> None:
        """The same without waiting, for what is small: a broken connection shows in `receive`."""
        self._writer.write(b"".join(_pack(command) for command in commands))

    async def receive(self) -> list[Any]:
        """Return the replies and pushed messages that one read brings, perhaps none; errors among them as values.

        Raises:
            RespError: the connection is closed, or there is no Redis at its other end.
        """
        data = await self._reader.read(READ_BYTES)
        if not data:
            raise RespError("Redis closed the connection")
        self._parser.feed(data)
        replies: list[Any] = []
        try:
            while (reply := self._parser.gets()) is not False:
                replies.append(reply)
        except hiredis.ProtocolError as error:
            raise RespError(f"this is not Redis: {error}") from error
        return replies

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(0.5):
                await self._writer.wait_closed()


def refusal(reply: hiredis.ReplyError) -> RespError:
    """An error reply as the exception it is where nobody can do anything about it."""
    return RespError(f"Redis refused a command: {reply}")
