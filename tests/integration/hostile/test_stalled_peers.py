"""Peers that do not read, read slowly, do not answer or never finish: closed in bounded time, at nobody else's cost."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any, Final

import msgspec
from prometheus_client import REGISTRY

from feira.actors.frames import PushFrames
from feira.platform.runtime.config import Config
from feira.ws.close_codes import CloseCode
from feira.ws.limits import SocketLimits
from feira.ws.line import FRAME_BYTES_AIM
from feira.ws.session import Session
from tests.integration.hostile.scene import PATIENCE_S, held_bytes, scene_on
from tests.integration.live import eventually
from tests.raw_socket import (
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawSocket,
    frame,
    raw_socket,
    text,
)

PIECE: Final = PushFrames({"news": "x" * 30_000}).encoded("json")
# Low, so that tests are short; what is measured is that they hold, not how exactly.
QUEUE_BYTES_MAX: Final = 256 * 1024
HASTY: Final = SocketLimits(
    tick_s=0.05,
    queue_bytes_max=QUEUE_BYTES_MAX,
    write_within_s=1.0,
    close_within_s=0.3,
    message_within_s=0.5,
)


def closed_count(code: CloseCode) -> float:
    return REGISTRY.get_sample_value("feira_sockets_closed_total", {"code": str(int(code))}) or 0.0


async def fill(session: Session) -> int:
    """Push until the server gives up on the client; returns the most that it held."""
    most = 0
    for _ in range(2_000):
        if not session.connection.is_open:
            break
        session.push(PIECE)
        most = max(most, held_bytes(session))
        await asyncio.sleep(0)
    return most


async def test_a_peer_that_never_reads_is_given_up_and_costs_what_the_limit_says(
    node_config: Config,
) -> None:
    async with scene_on(node_config, HASTY) as scene, scene.chatting() as chat:
        before = closed_count(CloseCode.SLOW)
        async with scene.stalled() as (_, session):
            most = await fill(session)
            assert most <= QUEUE_BYTES_MAX + 2 * FRAME_BYTES_AIM + len(PIECE.data)
            assert closed_count(CloseCode.SLOW) == before + 1
            await chat.goes_on()
            # It does not even read the close frame: the connection is cut.
            await eventually(lambda: session not in scene.node.sockets.sessions)
        # With little waiting it takes a while longer.
        async with scene.stalled() as (_, session):
            await clog(session)
            assert session.connection.is_open
            await eventually(lambda: session not in scene.node.sockets.sessions)
            assert closed_count(CloseCode.SLOW) == before + 2
        # A peer that asks for the end, and then does not read the answer.
        async with scene.stalled() as (raw, session):
            await clog(session)
            raw.send(frame(CLOSE, b"\x03\xe8"))
            await eventually(lambda: session not in scene.node.sockets.sessions)
        await chat.goes_on()


async def clog(session: Session) -> None:
    """Push until the transport takes no more."""
    connection: Any = session.connection
    while connection._paused_since is None:
        session.push(PIECE)
        await asyncio.sleep(0)


async def test_a_slow_reader_gets_all_in_order_or_is_told_why_not(node_config: Config) -> None:
    limits = SocketLimits(queue_bytes_max=QUEUE_BYTES_MAX, close_within_s=PATIENCE_S)
    async with scene_on(node_config, limits) as scene:
        async with scene.stalled() as (raw, session):
            await clog(session)
            for number in range(10):
                session.push(PushFrames({"number": number, "news": "x" * 20_000}).encoded("json"))
            raw.resume()
            seen: list[int] = []
            while len(seen) < 10:
                received = await raw.receive()
                assert received is not None
                seen += [message["number"] for message in received.messages if "number" in message]
            assert seen == list(range(10))
            assert session.connection.is_open
        async with scene.stalled() as (raw, session):
            await fill(session)
            raw.resume()
            assert await raw.closed() == CloseCode.SLOW
            assert raw.unread[-1]["disconnect"]["code"] == CloseCode.SLOW


async def test_one_stalled_watcher_among_many_is_missed_by_nobody(node_config: Config) -> None:
    async with scene_on(node_config, HASTY) as scene, AsyncExitStack() as stack:
        watchers = [
            await stack.enter_async_context(scene.signed_in(scene.seller, watching=True))
            for _ in range(12)
        ]
        _, session = await stack.enter_async_context(scene.stalled())
        await clog(session)
        async with scene.chatting() as chat:
            await eventually(lambda: not session.connection.is_open)
            await chat.goes_on()
        for watcher in watchers:
            seqs: list[int] = []
            while len(seqs) < len(chat.seqs):
                event = await watcher.told(lambda message: "event" in message)
                seqs.append(event["event"]["seq"])
            assert seqs == chat.seqs


async def test_a_peer_that_answers_no_ping_is_closed_and_one_that_does_is_not(
    node_config: Config,
) -> None:
    limits = SocketLimits(tick_s=0.05, ping_every_s=0.1, pong_within_s=2.0, close_within_s=0.3)
    async with (
        scene_on(node_config, limits) as scene,
        scene.signed_in(scene.buyer) as alive,
        scene.signed_in(scene.seller) as mute,
        scene.signed_in(scene.seller) as vanished,
    ):
        # No FIN, no RST, nothing is read: what a lost network looks like.
        vanished.stall()
        session = await scene.session_of(vanished)
        answering = asyncio.create_task(answer_pings(alive, 15))
        assert await mute.closed() == CloseCode.NO_PONG
        assert mute.unread[-1]["disconnect"]["code"] == CloseCode.NO_PONG
        await eventually(lambda: session not in scene.node.sockets.sessions)
        await answering
        assert "ok" in await alive.ask(1, ping={})


async def answer_pings(raw: RawSocket, times: int) -> None:
    while times:
        received = await raw.receive()
        assert received is not None
        if received.opcode == PING:
            raw.send(frame(PONG, received.payload))
            times -= 1


UNFINISHED: Final = {
    "a fragment": frame(TEXT, b'{"id":1,', fin=False),
    "two fragments": frame(TEXT, b'{"id":1,', fin=False) + frame(CONTINUATION, b'"', fin=False),
    "half a frame": text({"id": 1, "ping": {}})[:-3],
    "a byte": text({"id": 1, "ping": {}})[:1],
}


async def test_what_a_client_never_finishes_is_waited_for_in_bounded_time(
    node_config: Config,
) -> None:
    limits = msgspec.structs.replace(HASTY, connect_within_s=0.5)
    async with scene_on(node_config, limits) as scene, AsyncExitStack() as stack:
        for name, data in UNFINISHED.items():
            loris = await stack.enter_async_context(scene.signed_in(scene.seller))
            loris.send(data)
            if "fragment" in name:
                # It shows that it is alive; that is not enough.
                loris.send(frame(PING))
            assert await loris.closed() == CloseCode.SLOW, name
        # The answer to a close frame.
        deaf = await stack.enter_async_context(scene.signed_in(scene.seller))
        session = await scene.session_of(deaf)
        session.end_session()
        assert await deaf.closed(answering=False) == CloseCode.SESSION_ENDED
        await eventually(lambda: session not in scene.node.sockets.sessions)
        # Signing in.
        idle = await stack.enter_async_context(raw_socket(scene.port))
        assert await idle.closed() == CloseCode.CONNECT_TIMEOUT


async def test_a_message_that_takes_its_time_but_arrives_is_answered(node_config: Config) -> None:
    async with scene_on(node_config) as scene, scene.signed_in(scene.seller) as slow:
        for byte in text({"id": 7, "ping": {}}):
            slow.send(bytes((byte,)))
            await asyncio.sleep(0.01)
        answer = await slow.told(lambda message: message.get("id") == 7)
        assert answer == {"id": 7, "ok": {}}
