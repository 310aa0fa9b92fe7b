"""A bad network: a TCP proxy in front of one port that delays, cuts, freezes and swallows on command.

async with bad_network(node.port) as network:
    ... talk to f"http://127.0.0.1:{network.port}" ...
    network.cut()
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

READ_BYTES_MAX: Final = 65_536
CHUNKS_MAX: Final = 64


class BadNetwork:
    """Its switches may be turned at any time, also in the middle of a connection."""

    def __init__(self, upstream_port: int, upstream_host: str = "127.0.0.1") -> None:
        self.latency_s = 0.0
        """How long bytes are under way, each way. Their order and rate stay as they are."""
        self.is_refusing = False
        """New connections are reset at once."""
        self.answers_to_lose = 0
        """So many answers never arrive although their requests did: the connection is cut instead."""
        self.bytes_until_cut: int | None = None
        """After so many more bytes from the server the connection that carried them is cut, be it mid-frame."""
        self.commits_to_lose = 0
        """So many COMMITs reach PostgreSQL whose answers never arrive: their connection is cut instead."""
        self.answers_lost = 0
        self.connections_made = 0
        self.port = 0
        self.upstream_port = upstream_port
        """Where new connections lead."""
        self._upstream_host = upstream_host
        self._links: set[_Link] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    @property
    def connections_open(self) -> int:
        return len(self._links)

    def cut(self) -> None:
        """Reset every connection; what was under way is lost."""
        for link in list(self._links):
            link.abort()

    def freeze(self) -> None:
        """Half-open: every connection, also new ones, stays as it is and carries nothing. Nobody is told."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let what waited go on."""
        self._flowing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it."""
        self.connections_made += 1
        if self.is_refusing:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(
                self._upstream_host, self.upstream_port
            )
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, server_writer)
        self._links.add(link)
        try:
            ways = (
                asyncio.create_task(self._carry(reader, server_writer, link, answers=False)),
                asyncio.create_task(self._carry(server_reader, writer, link, answers=True)),
            )
            link.tasks = ways
            await asyncio.wait(ways)
        finally:
            link.abort()
            await asyncio.gather(*link.tasks, return_exceptions=True)
            self._links.discard(link)

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        link: _Link,
        *,
        answers: bool,
    ) -> None:
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_MAX)
        arrivals = asyncio.create_task(self._arrive(under_way, writer))
        try:
            while data := await reader.read(READ_BYTES_MAX):
                if answers and self._swallows(data, link):
                    link.abort()
                    return
                if not answers and self.commits_to_lose > 0 and b"COMMIT;" in data:
                    self.commits_to_lose -= 1
                    link.loses_answer = True
                await under_way.put((loop.time() + self.latency_s, data))
            # An orderly end arrives behind what was said before it.
            await under_way.put((loop.time() + self.latency_s, b""))
            await arrivals
        except ConnectionError:
            link.abort()
        finally:
            arrivals.cancel()
            await asyncio.gather(arrivals, return_exceptions=True)

    async def _arrive(
        self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - loop.time())
            await self._flowing.wait()
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    def _swallows(self, data: bytes, link: _Link) -> bool:
        if self.answers_to_lose > 0:
            self.answers_to_lose -= 1
            link.loses_answer = True
        if link.loses_answer:
            self.answers_lost += 1
            return True
        if self.bytes_until_cut is not None:
            self.bytes_until_cut -= len(data)
            if self.bytes_until_cut <= 0:
                self.bytes_until_cut = None
                return True
        return False


@dataclass(eq=False)
class _Link:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    tasks: tuple[asyncio.Task[None], ...] = field(default=())
    loses_answer: bool = False

    def abort(self) -> None:
        for end in (self.client, self.server):
            end.transport.abort()
        for task in self.tasks:
            task.cancel()


@asynccontextmanager
async def bad_network(
    upstream_port: int, upstream_host: str = "127.0.0.1"
) -> AsyncGenerator[BadNetwork]:
    """Listen on a port of its own (`network.port`) and carry everything to `upstream_port`."""
    network = BadNetwork(upstream_port, upstream_host)
    server = await asyncio.start_server(network.serve, "127.0.0.1", 0)
    network.port = int(server.sockets[0].getsockname()[1])
    try:
        yield network
    finally:
        server.close()
        network.cut()
        await server.wait_closed()
