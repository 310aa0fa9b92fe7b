"""A thousand conversations of two, both cores for everything: how many committed messages a second?"""

from __future__ import annotations

from bench.live.bench import Bench, CpuMeter, open_peer
from bench.live.cores import ALL_CORES
from bench.live.load.client import Run
from bench.live.peers.peer import Rooms
from bench.live.report import Bar, Chart, Comparison, spread

_MEMBERS = 2


async def measure(bench: Bench) -> Comparison:
    """Measure the peers that keep messages; Feira as one node and as two."""
    sizes = bench.sizes
    rows = [["server", "sends/s", "ack p50 ms", "ack p99", "server CPU", "PostgreSQL CPU", "lost"]]
    bars: list[Bar] = []
    for peer in bench.peers:
        if not peer.keeps:
            continue
        for nodes in bench.nodes_of(peer):
            with bench.tolerating(peer.name):
                rooms = Rooms(count=sizes.connections, members=_MEMBERS, nodes=nodes)
                label = peer.name if nodes == 1 else f"{peer.name}, {nodes} nodes"
                async with open_peer(bench, peer, rooms, ALL_CORES) as (running, load):
                    meter = CpuMeter(running)
                    run = Run(window=1, warm_up_s=sizes.warm_up_s, seconds=sizes.seconds)
                    results = [await load.run(run, meter.edge) for _ in range(sizes.repetitions)]
                    used = meter.used()
                lost = sum(result.lost for result in results)
                rates = sorted(result.sends_per_s for result in results)
                bars.append(Bar(label=label, value=rates[len(rates) // 2], keeps=True))
                rows.append(
                    [
                        label,
                        spread(rates),
                        spread([result.ack.p50_ms for result in results]),
                        spread([result.ack.p99_ms for result in results]),
                        *(
                            f"{used[name].total_s / sizes.seconds:.0%}"
                            for name in ("server", "PostgreSQL")
                        ),
                        f"{lost:,}" if lost else "none",
                    ]
                )
    return Comparison(
        name="persisted",
        what=f"{sizes.connections:,} conversations of {_MEMBERS}, one message under way in each, every one committed.",
        rows=rows,
        remarks=[
            f"{len(ALL_CORES)} cores for all: server, PostgreSQL, Valkey, load client on its own one of them",
            "CPU: share of one core, in the last run",
            f"median (min - max) of {sizes.repetitions} runs of {sizes.seconds:g} s",
        ],
        chart=Chart(
            file="live-persisted.svg",
            title=f"Committed messages a second, {sizes.connections:,} conversations, {len(ALL_CORES)} cores",
            unit="acknowledged sends/s, client included on the same cores",
            bars=bars,
        ),
    )
