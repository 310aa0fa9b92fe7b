"""`kill -9` of a server full of clients: how soon are all of them back on the other one, and what have they missed?

All clients sit on one of two nodes, and talk at a steady rate. The node is killed. Each client comes back at the
other node at a moment of its own within a second, resumes from the last number it has, and sends again what was not
answered. The load client checks that every log goes on without a hole, and that nobody hears anything twice.
"""

from __future__ import annotations

import asyncio
import time

import msgspec

from bench.live.bench import Bench, open_peer
from bench.live.cores import described
from bench.live.load.client import Back, Begin, End, Result, Run
from bench.live.peers.peer import Peer, Rooms
from bench.live.report import Comparison, spread

PEERS = ("Feira",)
CONNECTIONS_TIMES = 5
_MESSAGES_PER_S = 200.0
_TALK_S = 20.0
_KILLED_AFTER_S = 1.0
_BACK_WITHIN_S = 120.0


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """One kill: seconds until the last was back, and the messages around it."""

    back_s: float
    result: Result


async def measure(bench: Bench) -> Comparison:
    """Kill, as often as there are repetitions; each time with two new servers."""
    sizes = bench.sizes
    connections = sizes.connections * CONNECTIONS_TIMES
    rows = [
        [
            "server",
            "all back after s",
            "messages meanwhile",
            "refused at first",
            "missed",
            "doubled",
            "order",
        ]
    ]
    for peer in bench.peers_named(PEERS):
        with bench.tolerating(peer.name):
            rooms = Rooms(
                count=connections // sizes.members, members=sizes.members, nodes=2, are_spread=False
            )
            outages = [await kill_one(bench, peer, rooms) for _ in range(sizes.repetitions)]
            results = [outage.result for outage in outages]
            rows.append(
                [
                    peer.name,
                    spread([outage.back_s for outage in outages]),
                    f"{sum(result.said for result in results):,}",
                    f"{sum(result.refused for result in results):,}",
                    f"{sum(result.missing for result in results):,}",
                    f"{sum(result.repeated for result in results):,}",
                    "same" if not any(result.rooms_differing for result in results) else "differs",
                ]
            )
    return Comparison(
        name="killed",
        what=f"`kill -9` of a server with {connections:,} sockets: all resume on the other.",
        rows=rows,
        remarks=[
            described(),
            f"{_MESSAGES_PER_S:g} messages a second all the while; clients come back within a second at random",
            f"median (min - max) of {sizes.repetitions} kills",
        ],
    )


async def kill_one(bench: Bench, peer: Peer, rooms: Rooms) -> Outage:
    """Fill the first node, kill it, and wait for everybody on the second."""
    async with open_peer(bench, peer, rooms) as (running, load):
        load.come_back_to(running.ports[1])
        load.tell(Run(messages_per_s=_MESSAGES_PER_S, warm_up_s=0.5, seconds=_TALK_S).line())
        await load.hear(Begin, within_s=_BACK_WITHIN_S)
        await asyncio.sleep(_KILLED_AFTER_S)
        killed_at_ns = time.monotonic_ns()
        running.nodes[0].kill()
        back = await load.hear(Back, within_s=_BACK_WITHIN_S)
        await load.hear(End, within_s=_TALK_S * 2)
        result = await load.hear(Result, within_s=_BACK_WITHIN_S)
    return Outage(back_s=(back.at_ns - killed_at_ns) / 1e9, result=result)
