"""The client of the idle figure: very many sockets that sign in, watch, answer pings and say nothing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import msgspec

from bench.client_process import serve_parent, tell_parent
from bench.stage import Talker, allow_many_sockets

_OPENING_AT_ONCE = 20


class IdleWork(msgspec.Struct, frozen=True, kw_only=True):
    """Open one socket for each talker and keep it until the parent ends this."""

    url: str
    talkers: list[Talker]


class IdleReady(msgspec.Struct, frozen=True, kw_only=True):
    """All stand."""

    open: int


class IdleEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How many still stood at the end."""

    open: int


async def idle(work: IdleWork, ended: asyncio.Event) -> None:
    """Open, wait, count."""
    allow_many_sockets()
    turn = asyncio.Semaphore(_OPENING_AT_ONCE)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(work.url, connector=aiohttp.TCPConnector(limit=0))
        )

        async def open_one(talker: Talker) -> aiohttp.ClientWebSocketResponse:
            async with turn:
                return await _open(session, talker)

        sockets = await asyncio.gather(*(open_one(talker) for talker in work.talkers))
        tell_parent(IdleReady(open=len(sockets)))
        # Reading is what answers pings.
        readers = [asyncio.create_task(_listen(socket), name="idle-reader") for socket in sockets]
        await ended.wait()
        tell_parent(IdleEnd(open=sum(not socket.closed for socket in sockets)))
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def _open(session: aiohttp.ClientSession, talker: Talker) -> aiohttp.ClientWebSocketResponse:
    socket = await session.ws_connect("/v1/socket", protocols=("feira.v1.json",))
    topic = f"conversation:{talker.conversation}"
    commands = [
        {"id": 1, "connect": {"token": talker.token}},
        {"id": 2, "subscribe": {"topic": topic}},
    ]
    for command in commands:
        await socket.send_str(msgspec.json.encode(command).decode())
        while True:
            answer = msgspec.json.decode(await socket.receive_str())
            if "error" in answer:
                raise RuntimeError(f"not idle but refused: {answer['error']}")
            if answer.get("id") == command["id"]:
                break
    return socket


async def _listen(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


if __name__ == "__main__":
    serve_parent(IdleWork, idle)
