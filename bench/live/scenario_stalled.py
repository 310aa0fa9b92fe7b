"""One client in a large room stops reading: what do the others notice?

Bursts are said at a steady half of what the room can take, first with everybody reading, then with one who does not,
long enough for what it does not take to fill its kernel's buffers and then the server's.
"""

from __future__ import annotations

from bench.live.bench import Bench, open_peer
from bench.live.cores import described
from bench.live.load.client import Run
from bench.live.peers.peer import Rooms
from bench.live.report import Comparison, spread
from bench.report import number

_BURST = 16


async def measure(bench: Bench) -> Comparison:
    """Measure every peer in a room of all connections."""
    sizes = bench.sizes
    head = [
        "server",
        "messages/s",
        "delivery p99 ms, all read",
        "one stalled",
        "lost to others",
    ]
    rows = [head]
    for peer in bench.peers:
        with bench.tolerating(peer.name):
            rooms = Rooms(count=1, members=sizes.connections)
            async with open_peer(bench, peer, rooms) as (_, load):
                most = await load.run(
                    Run(
                        window=_BURST,
                        burst=_BURST,
                        warm_up_s=sizes.warm_up_s,
                        seconds=sizes.seconds,
                    )
                )
                steady = Run(
                    messages_per_s=max(1.0, most.sends_per_s / 2),
                    burst=_BURST,
                    warm_up_s=sizes.warm_up_s,
                    seconds=sizes.seconds,
                )
                whole = [await load.run(steady) for _ in range(sizes.repetitions)]
                load.stall(0)
                stalled = [await load.run(steady) for _ in range(sizes.repetitions)]
            rows.append(
                [
                    peer.name,
                    number(steady.messages_per_s),
                    spread([result.delivery.p99_ms for result in whole]),
                    spread([result.delivery.p99_ms for result in stalled]),
                    f"{sum(result.lost + result.not_said for result in stalled):,}",
                ]
            )
    return Comparison(
        name="stalled",
        what=f"One of {sizes.connections:,} clients in a room reads no more: the others' latency before and then.",
        rows=rows,
        remarks=[
            described(),
            f"bursts of {_BURST} at half of what the room can take",
            f"median (min - max) of {sizes.repetitions} runs of {sizes.seconds:g} s each way",
            "lost to others: deliveries and answers that never came, and messages that could not be said for them",
        ],
    )
