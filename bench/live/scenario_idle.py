"""What a client that says nothing costs its server in memory.

Some clients come first and are not counted, so that pools and caches are filled. Then the resident memory of the
server's processes is read before and after the others came. Memory of the kernel's sockets is not in it, nor what
Valkey and PostgreSQL use.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from bench.live.bench import Bench
from bench.live.cores import SERVER_CORES, children_on
from bench.live.load.client import open_client
from bench.live.peers.peer import Peer, Rooms, Running
from bench.live.report import Comparison, spread
from bench.processes import descendants, rss_kib

_FIRST_SHARE = 0.1
_SETTLED_KIB = 256
_SETTLE_EVERY_S = 0.5
_SETTLE_READS_MAX = 40


async def measure(bench: Bench) -> Comparison:
    """Measure every peer, each time on a new server."""
    sizes = bench.sizes
    rows = [["server", "KiB a client"]]
    for peer in bench.peers:
        with bench.tolerating(peer.name):
            weights = [await _weigh(bench, peer) for _ in range(sizes.repetitions)]
            rows.append([peer.name, spread(weights)])
    return Comparison(
        name="idle",
        what="Resident memory of the server for an idle client in a room.",
        rows=rows,
        remarks=[
            f"{sizes.connections:,} clients, of them {_FIRST_SHARE:.0%} uncounted",
            f"median (min - max) of {sizes.repetitions} servers",
            "Feira: signed in, watching an inbox and a conversation; the others: an open socket in a room",
        ],
    )


async def _weigh(bench: Bench, peer: Peer) -> float:
    sizes = bench.sizes
    rooms = Rooms(count=sizes.connections // sizes.members, members=sizes.members)
    async with AsyncExitStack() as stack:
        with children_on(SERVER_CORES):
            running = await stack.enter_async_context(peer.open(bench.stores, rooms))
        first = max(1, round(len(running.seats) * _FIRST_SHARE))
        read: list[int] = []
        for seats in (running.seats[:first], running.seats[first:]):
            client = open_client(bench.load_client, peer.dialect, seats, bench.folder)
            await stack.enter_async_context(client)
            read.append(await _settled_kib(running))
    return (read[1] - read[0]) / (len(running.seats) - first)


async def _settled_kib(running: Running) -> int:
    """Once it stands still: what was just opened still frees its scaffolding."""
    before = _all_kib(running)
    for _ in range(_SETTLE_READS_MAX):
        await asyncio.sleep(_SETTLE_EVERY_S)
        now = _all_kib(running)
        if abs(now - before) < _SETTLED_KIB:
            return now
        before = now
    return before


def _all_kib(running: Running) -> int:
    return sum(rss_kib(pid) for parent in running.pids for pid in (parent, *descendants(parent)))
