"""A connection of the bus to one server, opened again whenever it breaks, until it is closed."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, Final, Generic, TypeVar

import structlog

from feira.platform.runtime import bus_metrics
from feira.platform.runtime.bus_owners import Owners
from feira.platform.runtime.redis_url import Address
from feira.platform.runtime.resp import RespConnection
from feira.platform.runtime.tasks import TaskOwner

log = structlog.get_logger("feira.bus")

BACKOFF_MIN_S: Final = 0.05
BACKOFF_MAX_S: Final = 1.0


class Link(ABC):
    """Subclasses say what is done on the connection."""

    name: ClassVar[str]

    def __init__(self, owners: Owners, address: Address) -> None:
        self._owners = owners
        self.address: Final = address

    @abstractmethod
    async def serve(self, connection: RespConnection) -> None:
        """Use the connection until it breaks.

        Raises:
            OSError: it did.
        """

    async def run(self) -> None:
        """Open, use, and open again."""
        loop = asyncio.get_running_loop()
        backoff_s = BACKOFF_MIN_S
        while True:
            connection: RespConnection | None = None
            began = loop.time()
            try:
                connection = await self._owners.topology.open(self.address)
                await self.serve(connection)
            except OSError as error:
                bus_metrics.LINKS_LOST.labels(self.name).inc()
                log.warning(
                    "bus_link_lost",
                    link=self.name,
                    server=str(self.address),
                    error=str(error)[:200] or type(error).__name__,
                )
            finally:
                if connection is not None:
                    await connection.close()
            # Perhaps it will never be back here, and somebody else has taken over.
            self._owners.doubt()
            if connection is not None and loop.time() - began > BACKOFF_MAX_S:
                backoff_s = BACKOFF_MIN_S
            await asyncio.sleep(random.uniform(backoff_s / 2, backoff_s))  # noqa: S311
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)


LinkT = TypeVar("LinkT", bound=Link)


class Links(Generic[LinkT]):
    """One link to every owner."""

    def __init__(self, owners: Owners, make: Callable[[Address], LinkT]) -> None:
        self._owners = owners
        self._make = make
        self._links: dict[Address, LinkT] = {}
        self._runs: dict[Address, asyncio.Task[None]] = {}
        self._tasks = TaskOwner()

    def __iter__(self) -> Iterator[LinkT]:
        return iter(self._links.values())

    def to(self, partition: int) -> LinkT | None:
        """The link to a partition's owner; None while there is none."""
        owner = self._owners.of(partition)
        return None if owner is None else self._links.get(owner)

    def match(self) -> list[LinkT]:
        """Open what is missing, close what leads to no owner any more; return the closed ones."""
        wanted = self._owners.addresses
        closed = [self._links.pop(address) for address in self._links.keys() - wanted]
        for link in closed:
            self._runs.pop(link.address).cancel()
        for address in wanted - self._links.keys():
            link = self._links[address] = self._make(address)
            self._runs[address] = self._tasks.start(link.run(), name=f"bus-{link.name}-{address}")
        return closed

    async def close(self) -> None:
        await self._tasks.close()
