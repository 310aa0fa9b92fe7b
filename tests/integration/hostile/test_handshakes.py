"""Handshakes that are cut short, dripped, hurried or swollen. What a sound one looks like is in the conformance cases."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, suppress

import pytest
from aiohttp import web

from feira.http.runner import build_runner
from feira.platform.runtime.config import Config
from tests.integration.hostile.scene import PATIENCE_S, scene_on
from tests.raw_socket import PING, PONG, RawSocket, frame, handshake_request, tcp, text


async def test_what_came_in_one_piece_with_the_handshake_or_after_another_request_is_heard(
    node_config: Config,
) -> None:
    hello = text({"id": 3, "ping": {}})
    async with scene_on(node_config) as scene:
        async with tcp(scene.port) as raw:
            raw.send(handshake_request() + hello + frame(PING, b"early") + hello[:7])
            assert (await raw.answer()).status == 101
            seen = [await raw.receive(), await raw.receive()]
            assert {received.opcode for received in seen if received} == {PONG, 1}
            raw.send(hello[7:])
            assert await raw.told(lambda message: message["id"] == 3) == {"id": 3, "ok": {}}
        async with tcp(scene.port) as raw:
            raw.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = await raw.answer()
            assert answer.status == 200
            await raw.reader.readexactly(int(answer.headers["content-length"]))
            assert (await raw.shake_hands()).status == 101
            assert await raw.ask(4, ping={}) == {"id": 4, "ok": {}}


async def test_clients_that_vanish_around_the_handshake_leave_nothing(node_config: Config) -> None:
    async with scene_on(node_config) as scene, scene.chatting() as chat:
        for number in range(60):
            async with tcp(scene.port) as raw:
                # Cut in the request, right after it, or with the answer on its way.
                request = handshake_request() + text({"id": 1, "ping": {}})
                raw.send(request[: len(request) * (number % 3 + 1) // 3])
                if number % 2:
                    raw.writer.write_eof()
                await asyncio.sleep(0.001 * (number % 5))
        await chat.goes_on()


@pytest.mark.parametrize("swollen", [{"X-Long": "x" * 9_000}, {f"X-{n}": "x" for n in range(200)}])
async def test_a_handshake_with_too_much_in_its_head_is_refused(
    node_config: Config, swollen: dict[str, str | None]
) -> None:
    async with scene_on(node_config) as scene, tcp(scene.port) as raw:
        assert (await raw.shake_hands(swollen)).status == 400
        await _require_end(raw)


async def test_a_head_that_never_ends_is_waited_for_in_bounded_time() -> None:
    runner = build_runner(web.Application(), shutdown_timeout_s=1, keepalive_s=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with AsyncExitStack() as stack:
            port = int(runner.addresses[0][1])
            silent = await stack.enter_async_context(tcp(port))
            dripping = await stack.enter_async_context(tcp(port))
            drip = asyncio.create_task(_drip(dripping))
            await _require_end(silent)
            await _require_end(dripping)
            await drip
    finally:
        await runner.cleanup()


async def _drip(raw: RawSocket) -> None:
    until = time.monotonic() + PATIENCE_S
    raw.send(b"GET / HTTP/1.1\r\n")
    with suppress(ConnectionError):
        while time.monotonic() < until and not raw.reader.at_eof():
            raw.send(b"X: 1\r\n")
            await raw.sent()
            await asyncio.sleep(0.02)


async def _require_end(raw: RawSocket) -> None:
    async with asyncio.timeout(PATIENCE_S):
        with suppress(ConnectionError):
            await raw.reader.read()
