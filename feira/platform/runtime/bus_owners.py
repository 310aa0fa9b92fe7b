"""Which server carries which of the bus's partitions, followed through failovers and migrations.

Without a cluster there is one partition. An answer is never trusted for long: the topology is asked again every two
seconds, and as soon as a connection breaks or a server says MOVED.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import structlog

from feira.platform.runtime.cluster_map import (
    PARTITION_SLOTS,
    PARTITION_TAGS,
    Redirect,
    partition_of,
    partition_of_slot,
)
from feira.platform.runtime.redis_topology import Topology
from feira.platform.runtime.redis_url import Address

log = structlog.get_logger("feira.bus")

# However many doubt at once.
ASK_PAUSE_S: Final = 0.1
UNKNOWN_PAUSE_S: Final = 0.5

Moved = Callable[[list[int]], None]


class Owners:
    """`moved(partitions)` of each listener is called whenever some have another owner than before."""

    def __init__(self, topology: Topology, *, ask_every_s: float) -> None:
        self.topology: Final = topology
        self._ask_every_s = ask_every_s if topology.can_change else None
        self.is_sharded: Final = topology.is_cluster
        self._slots = PARTITION_SLOTS if topology.is_cluster else (0,)
        self._owners: list[Address | None] = [None] * len(self._slots)
        self._listeners: list[Moved] = []
        self._doubted = asyncio.Event()

    @property
    def partitions(self) -> int:
        return len(self._slots)

    @property
    def is_known(self) -> bool:
        """Whether every partition has an owner."""
        return None not in self._owners

    @property
    def addresses(self) -> set[Address]:
        """Every owner once."""
        return {owner for owner in self._owners if owner is not None}

    def of(self, partition: int) -> Address | None:
        return self._owners[partition]

    def partitions_of(self, address: Address) -> list[int]:
        return [number for number, owner in enumerate(self._owners) if owner == address]

    def locate(self, prefix: str, topic: str) -> tuple[int, str]:
        """A topic's partition and channel."""
        if not self.is_sharded:
            return 0, prefix + topic
        partition = partition_of(topic)
        return partition, f"{{{PARTITION_TAGS[partition]}}}{prefix}{topic}"

    def listen(self, moved: Moved) -> None:
        self._listeners.append(moved)

    def doubt(self) -> None:
        """Something is not as it was said to be: ask again soon."""
        self._doubted.set()

    def correct(self, redirect: Redirect) -> None:
        """A server knows better, for one slot."""
        self._set({partition_of_slot(redirect.slot): redirect.owner})
        self.doubt()

    async def follow_for_ever(self) -> None:
        """Keep asking."""
        while True:
            self._doubted.clear()
            pause_s = self._ask_every_s
            try:
                answer = await self.topology.owners(self._slots)
            except OSError as error:
                log.warning("bus_owners_unknown", error=str(error)[:500])
                pause_s = UNKNOWN_PAUSE_S
            else:
                # One that nobody serves right now stays with whom it was: it is probably on its way back.
                self._set({n: owner for n, owner in enumerate(answer) if owner is not None})
            await asyncio.sleep(ASK_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._doubted.wait()

    def _set(self, owners: dict[int, Address]) -> None:
        changed = [number for number, owner in owners.items() if self._owners[number] != owner]
        if not changed:
            return
        for number in changed:
            self._owners[number] = owners[number]
        log.info("bus_owners_changed", partitions=len(changed), servers=len(self.addresses))
        for moved in self._listeners:
            moved(changed)
