"""The bus's own connection, at the other end of which is not what one expects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from feira.platform.runtime.redis_url import Address, Login
from feira.platform.runtime.resp import RespConnection, RespError


@asynccontextmanager
async def saying(answer: bytes) -> AsyncGenerator[Address]:
    """A server that hears one thing, says one thing, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Address("127.0.0.1", server.sockets[0].getsockname()[1])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "this is not Redis"),
        (b"", "closed the connection"),
        (b"$100\r\nhalf", "closed the connection"),
        (b"-ERR unknown command\r\n", "refused a command: ERR unknown command"),
    ],
)
async def test_whatever_is_no_answer_is_a_broken_connection(answer: bytes, said: str) -> None:
    async with saying(answer) as address:
        connection = await RespConnection.open(address, Login())
        with pytest.raises(RespError, match=said):
            await connection.ask("PING")
        await connection.close()


async def test_a_wrong_password_is_told_and_not_shown() -> None:
    async with saying(b"-WRONGPASS invalid username-password pair\r\n") as address:
        with pytest.raises(RespError, match="WRONGPASS") as caught:
            await RespConnection.open(address, Login(user="feira", password="hunter2"))
    assert "hunter2" not in str(caught.value)


async def test_errors_among_replies_are_values_for_who_sent_several() -> None:
    async with saying(b":1\r\n-MOVED 1 127.0.0.1:2\r\n:0\r\n") as address:
        connection = await RespConnection.open(address, Login())
        await connection.send([("PUBLISH", "a", b"1")] * 3)
        replies: list[object] = []
        while len(replies) < 3:
            replies += await connection.receive()
        assert [str(reply) for reply in replies] == ["1", "MOVED 1 127.0.0.1:2", "0"]
        await connection.close()
