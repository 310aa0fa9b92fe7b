"""The load client of the real-time figures finds out servers that lose, double or mix up messages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bench.live.kit import Kit, Unobtainable
from bench.live.load.client import Result, Run, Seat, open_client

Relay = Callable[[list[web.WebSocketResponse], str, int], Awaitable[None]]
MEMBERS = 3


@pytest.fixture(scope="module")
def load_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return asyncio.run(Kit(tmp_path_factory.mktemp("kit")).load_client())
    except Unobtainable as error:
        pytest.skip(str(error))


@asynccontextmanager
async def serving(relay: Relay) -> AsyncGenerator[int]:
    """One room whose every message is handed to `relay(members, message, how many came before)`."""
    members: list[web.WebSocketResponse] = []
    said = 0

    async def handle(request: web.Request) -> web.WebSocketResponse:
        nonlocal said
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        members.append(socket)
        async for message in socket:
            await relay(members, message.data, said)
            said += 1
            await socket.send_str(json.dumps({"ack": json.loads(message.data)["id"]}))
        return socket

    app = web.Application()
    app.add_routes([web.get("/", handle)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def measured(binary: Path, relay: Relay, folder: Path) -> Result:
    async with serving(relay) as port:
        seats = [Seat(port=port, room=0, path="/") for _ in range(MEMBERS)]
        async with open_client(binary, "plain", seats, folder) as load:
            return await load.run(Run(messages_per_s=100, warm_up_s=0, seconds=0.5, drain_s=1))


async def to_all(members: list[web.WebSocketResponse], message: str, _nth: int) -> None:
    for member in members:
        await member.send_str(message)


async def test_an_honest_server_loses_nothing(load_client: Path, tmp_path: Path) -> None:
    result = await measured(load_client, to_all, tmp_path)
    assert result.said == result.ack.count > 10
    assert result.delivery.count == MEMBERS * result.said
    assert (result.lost, result.rooms_differing, result.not_said) == (0, 0, 0)
    assert 0 < result.delivery.p50_ms <= result.delivery.p99_ms


async def test_a_doubled_message_is_found(load_client: Path, tmp_path: Path) -> None:
    async def twice_to_the_first(
        members: list[web.WebSocketResponse], message: str, nth: int
    ) -> None:
        await to_all(members, message, nth)
        if nth == 3:
            await members[0].send_str(message)

    result = await measured(load_client, twice_to_the_first, tmp_path)
    assert (result.repeated, result.missing) == (1, 0)


async def test_a_lost_message_is_found(load_client: Path, tmp_path: Path) -> None:
    async def not_to_the_last(members: list[web.WebSocketResponse], message: str, nth: int) -> None:
        await to_all(members[:-1] if nth == 3 else members, message, nth)

    result = await measured(load_client, not_to_the_last, tmp_path)
    assert (result.repeated, result.missing, result.rooms_differing) == (0, 1, 1)


async def test_another_order_for_another_member_is_found(load_client: Path, tmp_path: Path) -> None:
    kept: list[str] = []

    async def later_to_the_last(
        members: list[web.WebSocketResponse], message: str, nth: int
    ) -> None:
        await to_all(members[:-1], message, nth)
        await to_all(members[-1:], message, nth) if nth != 3 else kept.append(message)
        if nth == 4:
            await to_all(members[-1:], kept.pop(), nth)

    result = await measured(load_client, later_to_the_last, tmp_path)
    assert (result.repeated, result.missing, result.rooms_differing) == (0, 0, 1)
