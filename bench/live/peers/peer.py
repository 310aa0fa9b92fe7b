"""What every peer offers to the measurements, and how its processes are run."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import asyncpg

from bench.live.kit import Kit
from bench.live.load.client import Dialect, Seat
from bench.stage import free_port
from feira.commands.child import Child, foreign_environment
from feira.platform.runtime.config import Config

_READY_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 10.0
_OUTPUT_LINES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Rooms:
    """`count` rooms of `members` each, on as many nodes: spread over them, or all on the first."""

    count: int
    members: int
    nodes: int = 1
    are_spread: bool = True

    @property
    def seats(self) -> int:
        return self.count * self.members

    def node_of(self, member: int) -> int:
        """Where a room's member sits."""
        return member % self.nodes if self.are_spread else 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A peer that serves: where to sit, and its nodes."""

    seats: list[Seat]
    nodes: list[Child]
    ports: list[int]

    @property
    def pids(self) -> list[int]:
        return [node.pid for node in self.nodes if node.pid is not None]


class Peer(Protocol):
    """A server that relays what is said in a room to all of its members."""

    @property
    def name(self) -> str: ...

    @property
    def dialect(self) -> Dialect: ...

    @property
    def keeps(self) -> bool:
        """Whether a message is in a database before it is answered."""
        ...

    @property
    def can_cluster(self) -> bool:
        """Whether two of it, with Valkey between, are one."""
        ...

    async def obtain(self, kit: Kit) -> str:
        """Have everything that it needs; returns the versions of what is measured.

        Raises:
            Unobtainable: with the reason.
        """
        ...

    def open(self, stores: Config, rooms: Rooms) -> AbstractAsyncContextManager[Running]:
        """Serve these rooms."""
        ...

    async def count_kept(self, stores: Config) -> int:
        """How many messages are in its database, ever; asked only of those that keep them."""
        ...


class Program(ABC):
    """A `Peer` that is a program which serves at a port; the room is in the path, or said later."""

    name: str
    dialect: Dialect = "plain"
    keeps: bool = False
    can_cluster: bool = False
    path: str = "/{room}"

    @abstractmethod
    async def obtain(self, kit: Kit) -> str: ...

    async def count_kept(self, stores: Config) -> int:
        raise NotImplementedError(f"{self.name} keeps nothing")

    @abstractmethod
    def argv(self, stores: Config, port: int) -> list[str]:
        """How one node is started."""

    @asynccontextmanager
    async def open(self, stores: Config, rooms: Rooms) -> AsyncGenerator[Running]:
        ports = [free_port() for _ in range(rooms.nodes)]
        async with AsyncExitStack() as stack:
            nodes = [
                await stack.enter_async_context(
                    run_process(self.name, self.argv(stores, port), port)
                )
                for port in ports
            ]
            yield Running(seats=seats_by_room(rooms, ports, self.path), nodes=nodes, ports=ports)


@asynccontextmanager
async def run_process(name: str, argv: Sequence[str], port: int) -> AsyncGenerator[Child]:
    """Run a server until the context ends; yields once something listens on its port."""
    said: deque[str] = deque(maxlen=_OUTPUT_LINES)
    child = Child(name, argv, foreign_environment(), said.append, stop_timeout_s=_STOP_TIMEOUT_S)
    await child.start()
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            while not await _listens(port):
                if child.pid is None:
                    raise RuntimeError(f"{name} ended at once:\n" + "\n".join(said))
                await asyncio.sleep(0.05)
        yield child
    except BaseException:
        print("\n".join(said), file=sys.stderr)
        raise
    finally:
        await child.stop()


async def count_rows(dsn: str, table: str, database: str | None = None) -> int:
    """Of a table of the measurement's own choice; none, where it is not there yet."""
    con = await asyncpg.connect(dsn, database=database)
    try:
        if await con.fetchval("SELECT to_regclass($1)", table) is None:
            return 0
        return int(await con.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608
    finally:
        await con.close()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def seats_by_room(rooms: Rooms, ports: Sequence[int], path: str) -> list[Seat]:
    """Seats at a path with the room's number in it."""
    return [
        Seat(port=ports[rooms.node_of(member)], room=room, path=path.format(room=room))
        for room in range(rooms.count)
        for member in range(rooms.members)
    ]
