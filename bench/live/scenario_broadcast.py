"""One speaks, a thousand hear it: message by message, and in bursts of sixteen that leave the sender in one write."""

from __future__ import annotations

from bench.live.bench import Bench, open_peer
from bench.live.cores import described
from bench.live.load.client import Run
from bench.live.peers.peer import Rooms
from bench.live.report import Comparison, spread

PEERS = ("Feira", "ws", "C broadcaster")
_BURSTS = (1, 16)


async def measure(bench: Bench) -> Comparison:
    """Measure Feira, plain `ws` and the floor."""
    sizes = bench.sizes
    rows = [["server", "burst", "messages/s", "deliveries/s", "delivery p50 ms", "p99", "lost"]]
    for peer in bench.peers_named(PEERS):
        with bench.tolerating(peer.name):
            rooms = Rooms(count=1, members=sizes.connections)
            async with open_peer(bench, peer, rooms) as (_, load):
                for burst in _BURSTS:
                    run = Run(
                        window=burst, burst=burst, warm_up_s=sizes.warm_up_s, seconds=sizes.seconds
                    )
                    results = [await load.run(run) for _ in range(sizes.repetitions)]
                    lost = sum(result.lost for result in results)
                    rows.append(
                        [
                            peer.name,
                            str(burst),
                            spread([result.sends_per_s for result in results]),
                            spread([result.deliveries_per_s for result in results]),
                            spread([result.delivery.p50_ms for result in results]),
                            spread([result.delivery.p99_ms for result in results]),
                            f"{lost:,}" if lost else "none",
                        ]
                    )
    return Comparison(
        name="broadcast",
        what=f"One room of {sizes.connections:,}: the next message, or burst, is sent when everybody has the last.",
        rows=rows,
        remarks=[
            described(),
            "senders take turns, so that no socket says more than its server allows one",
            f"median (min - max) of {sizes.repetitions} runs of {sizes.seconds:g} s",
        ],
    )
