"""What a scenario is given: stores, peers, sizes; and what it does with them: open one, let the client run, count CPU."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from bench.live.cores import SERVER_CORES, children_on
from bench.live.load.client import LoadClient, LoadFailed, open_client
from bench.live.peers.peer import Peer, Rooms, Running
from bench.processes import Cpu, command_line, cpu_of, descendants
from feira.platform.runtime.config import Config

_REASON_CHARS: Final = 200


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    connections: int = 1_000
    members: int = 10
    window: int = 4
    seconds: float = 4.0
    warm_up_s: float = 1.0
    repetitions: int = 3
    nodes: int = 2
    """At most so many of one server, with Valkey between."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """Everything that scenarios share."""

    stores: Config
    load_client: Path
    folder: Path
    peers: Sequence[Peer]
    sizes: Sizes
    failures: list[str] = field(default_factory=list[str])
    """Peers that did not stand what a scenario asked of them, with the reason."""

    @contextmanager
    def tolerating(self, label: str) -> Generator[None]:
        """Go on without a peer that falls over; what happened becomes a remark."""
        try:
            yield
        except (LoadFailed, TimeoutError) as error:
            reason = str(error)[:_REASON_CHARS] or "no answer in time"
            print(f"{label} fell over: {reason}", file=sys.stderr, flush=True)
            self.failures.append(f"{label} fell over: {reason}")

    def nodes_of(self, peer: Peer) -> range:
        """As how many nodes a peer is measured, one after the other."""
        return range(1, 1 + (self.sizes.nodes if peer.can_cluster else 1))

    def peers_named(self, names: Sequence[str]) -> list[Peer]:
        """Return those of them that are measured this time."""
        return [peer for peer in self.peers if peer.name in names]


@asynccontextmanager
async def open_peer(
    bench: Bench, peer: Peer, rooms: Rooms, cores: frozenset[int] = SERVER_CORES
) -> AsyncGenerator[tuple[Running, LoadClient]]:
    """Serve rooms by a peer, with every seat taken; what it says it keeps must be there in the end.

    Raises:
        RuntimeError: messages were acknowledged that its database does not have.
    """
    async with AsyncExitStack() as stack:
        with children_on(cores):
            running = await stack.enter_async_context(peer.open(bench.stores, rooms))
        client = open_client(bench.load_client, peer.dialect, running.seats, bench.folder)
        load = await stack.enter_async_context(client)
        before = await peer.count_kept(bench.stores) if peer.keeps else 0
        yield running, load
        if peer.keeps:
            kept = await peer.count_kept(bench.stores) - before
            if kept < load.acknowledged:
                raise RuntimeError(f"{peer.name} acknowledged {load.acknowledged} and kept {kept}")


class CpuMeter:
    """CPU time between two edges, by who used it."""

    def __init__(self, running: Running) -> None:
        self._pids: Mapping[str, list[int]] = {
            "server": running.pids,
            "PostgreSQL": stores_named("postgres"),
            "Valkey": stores_named("valkey"),
        }
        self._edges: list[dict[str, Cpu]] = []

    def edge(self) -> None:
        """Read it now."""
        self._edges.append({name: cpu_of(pids) for name, pids in self._pids.items()})

    def used(self) -> dict[str, Cpu]:
        """Between the last two edges."""
        before, after = self._edges[-2:]
        return {name: cpu.since(before[name]) for name, cpu in after.items()}


def stores_named(program: str) -> list[int]:
    """The embedded servers of this process that run a program of that name; not their own children."""
    found: list[int] = []
    for pid in descendants(os.getpid()):
        name = Path(command_line(pid).split(b"\0")[0].decode(errors="replace")).name
        if name.startswith(program):
            found.append(pid)
    family = {child for pid in found for child in descendants(pid)}
    return [pid for pid in found if pid not in family]
