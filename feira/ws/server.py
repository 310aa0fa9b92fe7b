"""The endpoint `GET /v1/socket` and all sockets of this process: limits in time, and the drain before a stop."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import Final

import structlog
from aiohttp import web

from feira.actors.node import Node
from feira.platform.domain.audit import Origin
from feira.platform.domain.errors import Unavailable
from feira.platform.runtime.client import origin_of
from feira.platform.runtime.tasks import TaskOwner
from feira.services.market import Market
from feira.ws import fallback, handshake, metrics
from feira.ws.asyncapi import document_routes
from feira.ws.close_codes import CloseCode
from feira.ws.connection import Connection
from feira.ws.limits import DEFAULT_LIMITS, SocketLimits, UserRates
from feira.ws.line import Line
from feira.ws.session import Session
from feira.ws.turn import Turn

log = structlog.get_logger("feira.ws")

SOCKET_PATH: Final = "/v1/socket"
DRAIN_BATCHES: Final = 20
POOL_KEPT_FREE: Final = 4
RETRY_WINDOW_MS: Final = (0, 5_000)


class SocketServer:
    """All sockets of one process."""

    def __init__(self, market: Market, node: Node, limits: SocketLimits = DEFAULT_LIMITS) -> None:
        self.market = market
        self.node = node
        self.limits = limits
        self.rates = UserRates(limits)
        self.tasks = TaskOwner()
        self.turn = Turn()
        self.sessions: set[Session] = set()
        # When thousands come at once, from a server that died, they queue up here and not for the database, where
        # who waits too long is sent away, and where those who are in must find room for what they say.
        pool = market.config.postgres_pool_max
        self.arrivals = asyncio.Semaphore(max(1, pool - POOL_KEPT_FREE))
        self._draining = False

    def start(self) -> None:
        self.tasks.start(self._tick_for_ever(), name="ws-ticker")
        self.tasks.start(self._recheck_for_ever(), name="ws-rechecks")

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
        await self.tasks.close(grace_s=0.2)

    def routes(self) -> list[web.RouteDef]:
        """The socket, its fallback, and the document that describes both."""
        return [
            web.get(SOCKET_PATH, self.handle),
            web.post(f"{SOCKET_PATH}/stream", partial(fallback.open_stream, self)),
            web.post(f"{SOCKET_PATH}/commands", partial(fallback.carry_out, self)),
            *document_routes(self.market.config),
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a handshake; what is said on the socket afterwards no longer concerns aiohttp."""
        self.require_room()
        answer, encoding = handshake.accept(request)
        connection = Connection(encoding, self.limits, self.tasks, self.turn)
        try:
            await answer.prepare(request)
            await answer.write_eof()
            self.open(connection, origin_of(request))
            handshake.take_over(request, connection)
        except ConnectionError:
            # The client is gone; aiohttp finds out the same way.
            connection.connection_lost(None)
        return answer

    def require_room(self) -> None:
        """Pass when one more may come.

        Raises:
            Unavailable: draining, or full.
        """
        if self._draining or len(self.sessions) >= self.limits.sockets_max:
            raise Unavailable(
                "socket.unavailable", "This server takes no new sockets right now.", retry_after_s=1
            )

    def open(self, line: Line, origin: Origin) -> None:
        """Begin a session on a line that came from `origin`."""
        session = Session(self, line, origin)
        line.serve(session)
        self.sessions.add(session)
        metrics.OPEN.inc()

    def left(self, session: Session) -> None:
        """A session whose connection is lost."""
        if session in self.sessions:
            self.sessions.discard(session)
            metrics.OPEN.dec()

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.limits.tick_s)
            self._tick()

    def _tick(self) -> None:
        now, at = time.monotonic(), datetime.now(UTC)
        for session in list(self.sessions):
            session.tick(now, at)
        self.rates.tick(now)

    async def _recheck_for_ever(self) -> None:
        # One after the other: on a full node a round takes longer, and never more than one connection.
        while True:
            await asyncio.sleep(self.limits.recheck_every_s)
            for session in list(self.sessions):
                await session.recheck()
