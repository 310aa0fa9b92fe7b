"""Who serves what right now: the one server, the master that sentinels name, or the owners of a cluster's slots.

Failovers and migrations change the answer; whoever depends on it asks again from time to time, and whenever a
server turns out not to be what it was taken for.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from feira.platform.runtime.cluster_map import ClusterMapError, SlotMap, parse_slots
from feira.platform.runtime.redis_url import Address, Login, RedisUrl, parse_redis_url
from feira.platform.runtime.resp import RespConnection, RespError

# One that does not answer must not keep the others from being asked.
ASK_TIMEOUT_S: Final = 1.0


class Topology(ABC):
    """One of the three."""

    is_cluster: ClassVar[bool] = False
    can_change: ClassVar[bool] = True
    """Whether owners may change without anybody's telling."""

    def __init__(self, login: Login) -> None:
        self._login: Final = login

    @abstractmethod
    async def owners(self, slots: Sequence[int]) -> list[Address | None]:
        """Say who serves each slot (without a cluster, one serves them all); None for a slot nobody serves.

        Raises:
            OSError: nobody could say.
        """

    async def open(self, address: Address) -> RespConnection:
        """Connect to a server that `owners` named.

        Raises:
            OSError: it is not there, or not what it was said to be.
        """
        return await RespConnection.open(address, self._login)


def topology_of(redis_url: str) -> Topology:
    """Read the setting; connects to nothing yet.

    Raises:
        RedisUrlError: it is wrong.
    """
    url = parse_redis_url(redis_url)
    match url.kind:
        case "single":
            return OneServer(url)
        case "sentinel":
            return Sentinels(url)
        case "cluster":
            return Cluster(url)


class OneServer(Topology):
    """Always the same."""

    can_change = False

    def __init__(self, url: RedisUrl) -> None:
        super().__init__(url.login)
        self._address = url.addresses[0]

    async def owners(self, slots: Sequence[int]) -> list[Address | None]:
        return [self._address] * len(slots)


class Sentinels(Topology):
    """The master of one name. The first sentinel that answers is believed, but its master is asked for its role."""

    def __init__(self, url: RedisUrl) -> None:
        super().__init__(url.login)
        self._sentinels = url.addresses
        self._sentinel_login = url.sentinel_login
        self._name = url.master_name

    async def owners(self, slots: Sequence[int]) -> list[Address | None]:
        unheard: list[str] = []
        for sentinel in _shuffled(self._sentinels):
            try:
                return [await self._master_by(sentinel)] * len(slots)
            except OSError as error:
                unheard.append(f"{sentinel}: {error or type(error).__name__}")
        raise RespError(f"no sentinel names a master ({'; '.join(unheard)})")

    async def open(self, address: Address) -> RespConnection:
        connection = await super().open(address)
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                role = (await connection.ask("ROLE"))[0].decode()
            if role != "master":
                # A replica would take what is published, and tell nobody.
                raise RespError(f"{address} is a {role}, not the master")
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _master_by(self, sentinel: Address) -> Address:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            connection = await RespConnection.open(sentinel, self._sentinel_login)
            try:
                found = await connection.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)
            finally:
                await connection.close()
        if found is None:
            raise RespError(f"knows no master called {self._name}")
        host, port = found
        return Address(host.decode(), int(port))


class Cluster(Topology):
    """Its nodes know each other; those of the URL are only the first to be asked."""

    is_cluster = True

    def __init__(self, url: RedisUrl) -> None:
        super().__init__(url.login)
        self._seeds = url.addresses
        self._nodes: list[Address] = []

    async def owners(self, slots: Sequence[int]) -> list[Address | None]:
        slot_map = await self.slot_map()
        return [slot_map.owner(slot) for slot in slots]

    async def slot_map(self) -> SlotMap:
        """Ask one node after the other.

        Raises:
            OSError: none answers.
        """
        doubtful: SlotMap | None = None
        unheard: list[str] = []
        for node in dict.fromkeys([*_shuffled(self._nodes), *_shuffled(self._seeds)]):
            try:
                is_ok, slot_map = await self._ask(node)
            except (OSError, ClusterMapError) as error:
                unheard.append(f"{node}: {error or type(error).__name__}")
                continue
            self._nodes = slot_map.nodes
            if is_ok:
                return slot_map
            # It may be cut off from the others, and know nothing of a failover since.
            doubtful = doubtful or slot_map
        if doubtful is None:
            raise RespError(f"no node of the cluster answers ({'; '.join(unheard)})")
        return doubtful

    async def _ask(self, node: Address) -> tuple[bool, SlotMap]:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            connection = await RespConnection.open(node, self._login)
            try:
                info = await connection.ask("CLUSTER", "INFO")
                slots = await connection.ask("CLUSTER", "SLOTS")
            finally:
                await connection.close()
        return b"cluster_state:ok" in info, parse_slots(slots, node)


def _shuffled(addresses: Iterable[Address]) -> list[Address]:
    """So that no single one is asked by everybody, or stands in everybody's way."""
    mixed = list(addresses)
    random.shuffle(mixed)
    return mixed
