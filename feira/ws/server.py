"""The endpoint `GET /v1/socket` and all sockets of this process: limits in time, and the drain before a stop."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Final

import structlog
from aiohttp import WSMsgType, web

from feira.actors.node import Node
from feira.platform.domain.errors import InvalidInput, Unavailable
from feira.platform.runtime.tasks import TaskOwner
from feira.services.market import Market
from feira.ws import metrics
from feira.ws.close_codes import CloseCode
from feira.ws.connection import Connection
from feira.ws.protocol import DEFAULT_SUBPROTOCOL, FRAME_BYTES_MAX, SUBPROTOCOLS
from feira.ws.session import Session

log = structlog.get_logger("feira.ws")

TICK_S: Final = 1.0
DRAIN_BATCHES: Final = 20
RETRY_WINDOW_MS: Final = (0, 5_000)
SOCKETS_MAX: Final = 50_000


class SocketServer:
    """All sockets of one process."""

    def __init__(self, market: Market, node: Node) -> None:
        self.market = market
        self.node = node
        self._tasks = TaskOwner()
        self.sessions: set[Session] = set()
        self._draining = False

    def start(self) -> None:
        self._tasks.start(self._tick_for_ever(), name="ws-ticker")

    async def drain(self, *, within_s: float) -> None:
        """Ask all clients to reconnect elsewhere, in paced batches with a jittered hint, and wait for them to go."""
        self._draining = True
        sessions = list(self.sessions)
        batch = max(1, len(sessions) // DRAIN_BATCHES + 1)
        for start in range(0, len(sessions), batch):
            for session in sessions[start : start + batch]:
                session.connection.close(CloseCode.DRAINING, retry_ms=RETRY_WINDOW_MS)
            await asyncio.sleep(within_s / DRAIN_BATCHES / 2)
        deadline = time.monotonic() + within_s / 2
        while self.sessions and time.monotonic() < deadline:  # noqa: ASYNC110 - sockets end one by one
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        for session in self.sessions:
            session.connection.abort()
        await self._tasks.close(grace_s=0.2)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one socket from its handshake to its end."""
        if self._draining or len(self.sessions) >= SOCKETS_MAX:
            raise Unavailable(
                "socket.unavailable", "This server takes no new sockets right now.", retry_after_s=1
            )
        socket = web.WebSocketResponse(
            protocols=tuple(SUBPROTOCOLS),
            # Pings are answered and pongs seen by us; compression would cost 100 KiB a socket.
            autoping=False,
            compress=False,
            max_msg_size=FRAME_BYTES_MAX,
            timeout=1.5,
        )
        if not socket.can_prepare(request).ok:
            raise InvalidInput("socket.upgrade_required", "Open this address as a WebSocket.")
        await socket.prepare(request)
        # They are sent; kept, they would take a kilobyte for as long as the socket lives.
        socket.headers.clear()
        encoding = SUBPROTOCOLS[socket.ws_protocol or DEFAULT_SUBPROTOCOL]
        session = Session(self, Connection(socket, request, encoding, self._tasks))
        self.sessions.add(session)
        metrics.OPEN.inc()
        try:
            await self._read(socket, session)
        finally:
            self.sessions.discard(session)
            metrics.OPEN.dec()
            session.left()
        return socket

    async def _read(self, socket: web.WebSocketResponse, session: Session) -> None:
        while True:
            message = await socket.receive()
            session.heard()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    is_text = message.type is WSMsgType.TEXT
                    if is_text != (session.encoding == "json"):
                        session.connection.close(CloseCode.BAD_REQUEST)
                        continue
                    await session.receive(message.data.encode() if is_text else message.data)
                case WSMsgType.PING:
                    await session.connection.pong(message.data)
                case WSMsgType.PONG:
                    pass
                case _:
                    # Closed by the client, by us, or by aiohttp for a frame that breaks RFC 6455.
                    return
            # Not kept until the next one comes, which may be never.
            del message

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now, at = time.monotonic(), datetime.now(UTC)
            for session in list(self.sessions):
                await session.tick(now, at)
