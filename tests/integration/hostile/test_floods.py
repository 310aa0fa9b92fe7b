"""Floods of everything that RFC 6455 lets a client send: ended with 3013, and the chat next to them goes on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from feira.platform.runtime.config import Config
from feira.ws.close_codes import CloseCode
from feira.ws.limits import DEFAULT_LIMITS, SocketLimits
from feira.ws.line import FRAME_BYTES_AIM
from tests.integration.hostile.scene import Scene, held_bytes, scene_on
from tests.raw_socket import CONTINUATION, PING, PONG, TEXT, RawSocket, frame, text

FLOODS: Final = {
    "commands": text({"id": 1, "ping": {}}),
    "commands that are refused": text({"id": 1, "send": {"topic": "ops"}}),
    "pings": frame(PING, b"x" * 125),
    "pongs": frame(PONG),
    "messages of nothing": frame(TEXT),
    "blank messages": frame(TEXT, b"\n \n"),
    "fragments of nothing": frame(CONTINUATION, fin=False),
    "fragments of a byte": frame(CONTINUATION, b" ", fin=False),
}


async def test_floods_of_every_kind_end_their_own_socket_and_nobody_elses(
    node_config: Config,
) -> None:
    limits = SocketLimits(close_within_s=0.5)
    async with scene_on(node_config, limits) as scene, scene.chatting() as chat:
        for kind, drop in FLOODS.items():
            async with scene.signed_in(scene.seller) as flood:
                if "fragments" in kind:
                    flood.send(frame(TEXT, fin=False))
                code = await pour(scene, flood, drop)
                # Who is deep in writing may see the connection break before it reads why.
                assert code in {CloseCode.RATE_LIMITED, None}, kind
                if code is not None:
                    assert flood.unread[-1]["disconnect"]["code"] == CloseCode.RATE_LIMITED, kind
            await chat.goes_on()


async def pour(scene: Scene, raw: RawSocket, drop: bytes) -> int | None:
    """Send until the server ends it, whatever it says; returns the close code if it came through."""
    session = await scene.session_of(raw)
    for _ in range(2_000):
        if not session.connection.is_open:
            break
        raw.send(drop * 50)
        with suppress(ConnectionError):
            await raw.sent()
        await asyncio.sleep(0)
        assert held_bytes(session) <= DEFAULT_LIMITS.queue_bytes_max + FRAME_BYTES_AIM
    assert not session.connection.is_open
    return await raw.closed()
