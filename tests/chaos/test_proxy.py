"""The bad network does what it says; tests that trust it stand on this."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.chaos.proxy import BadNetwork, bad_network
from tests.integration.live import eventually


@pytest.fixture
async def network() -> AsyncIterator[BadNetwork]:
    """In front of an echo."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, bad_network(int(server.sockets[0].getsockname()[1])) as opened:
        yield opened


@asynccontextmanager
async def caller(
    network: BadNetwork,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_it_carries_bytes_and_their_end(network: BadNetwork) -> None:
    async with caller(network) as (reader, writer), asyncio.timeout(10):
        writer.write(b"x" * 300_000)
        writer.write_eof()
        assert await reader.read(-1) == b"x" * 300_000


async def test_latency_delays_without_swapping(network: BadNetwork) -> None:
    network.latency_s = 0.1
    async with caller(network) as (reader, writer), asyncio.timeout(10):
        began = time.monotonic()
        for number in range(10):
            writer.write(f"{number}".encode())
            await asyncio.sleep(0.001)
        assert await reader.readexactly(10) == b"0123456789"
        assert time.monotonic() - began >= 0.2


async def test_a_cut_resets_what_is_open_and_new_connections_pass(network: BadNetwork) -> None:
    async with caller(network) as (reader, writer), asyncio.timeout(10):
        writer.write(b"1")
        assert await reader.readexactly(1) == b"1"
        network.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
    await eventually(lambda: network.connections_open == 0)
    async with caller(network) as (reader, writer), asyncio.timeout(10):
        writer.write(b"2")
        assert await reader.readexactly(1) == b"2"


async def test_frozen_nothing_passes_and_nothing_ends_until_it_thaws(network: BadNetwork) -> None:
    async with caller(network) as (reader, writer), asyncio.timeout(10):
        network.freeze()
        writer.write(b"1")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        network.thaw()
        assert await reader.readexactly(1) == b"1"


@pytest.mark.parametrize("switch", ["answers_to_lose", "bytes_until_cut"])
async def test_an_answer_may_be_lost_although_its_request_arrived(
    network: BadNetwork, switch: str
) -> None:
    setattr(network, switch, 1)
    async with caller(network) as (reader, writer), asyncio.timeout(10):
        writer.write(b"1")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
    async with caller(network) as (reader, writer), asyncio.timeout(10):
        writer.write(b"2")
        assert await reader.readexactly(1) == b"2"


async def test_refused_connections_end_at_once(network: BadNetwork) -> None:
    network.is_refusing = True
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        async with caller(network) as (reader, _), asyncio.timeout(10):
            await reader.readexactly(1)
