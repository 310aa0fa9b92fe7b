"""Rooms of ten, everybody hears everybody: how many messages a second, how late, at what cost, in the same order?

First as much as goes: in every room some messages are under way at any time. Then half of that by the clock, where
latencies mean something. Each message must reach each member of its room once; that is checked, not assumed, and so
is whether all members heard all messages in the same order.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from bench.live.bench import Bench, CpuMeter, Sizes, open_peer
from bench.live.cores import described
from bench.live.load.client import LoadClient, Result, Run
from bench.live.peers.peer import Peer, Rooms
from bench.live.report import Bar, Chart, Comparison, spread
from bench.processes import Cpu

_CLIENT_BOUND = 0.9


@dataclass(kw_only=True, slots=True)
class Measured:
    """One peer's runs."""

    peer: Peer
    nodes: int
    saturated: list[Result] = field(default_factory=list[Result])
    halved: list[Result] = field(default_factory=list[Result])
    cpu: list[dict[str, Cpu]] = field(default_factory=list[dict[str, Cpu]])

    @property
    def label(self) -> str:
        return self.peer.name if self.nodes == 1 else f"{self.peer.name}, {self.nodes} nodes"

    @property
    def sends_per_s(self) -> float:
        return statistics.median(result.sends_per_s for result in self.saturated)


async def measure(bench: Bench) -> Comparison:
    """Measure every peer alone and, where it can, as two nodes with Valkey between."""
    measured: list[Measured] = []
    for peer in bench.peers:
        for nodes in bench.nodes_of(peer):
            one = Measured(peer=peer, nodes=nodes)
            with bench.tolerating(one.label):
                await measure_peer(bench, one)
                measured.append(one)
    sizes = bench.sizes
    return Comparison(
        name="rooms",
        what=f"{sizes.connections:,} connections in rooms of {sizes.members}; the sender hears itself too.",
        rows=rows_of(measured),
        remarks=[
            described(),
            f"saturated: {sizes.window} messages under way in each room",
            "half: half of that rate, by the clock; latencies count from when a message was due",
            f"median (min - max) of {sizes.repetitions} runs of {sizes.seconds:g} s",
            "stored: a message is committed before its answer, or is kept nowhere",
            "two nodes: each room's members are spread over both, and one core has both nodes",
            "order: whether all members of a room heard the same messages in the same order",
            "client: the share of its core that the load client needed; near 100 % it is the limit",
        ],
        chart=chart_of(measured, sizes),
    )


async def measure_peer(bench: Bench, one: Measured) -> None:
    sizes = bench.sizes
    count = sizes.connections // sizes.members
    rooms = Rooms(count=count, members=sizes.members, nodes=one.nodes)
    async with open_peer(bench, one.peer, rooms) as (running, load):
        meter = CpuMeter(running)
        saturated = _run(sizes, window=sizes.window)
        for _ in range(sizes.repetitions):
            one.saturated.append(await load.run(saturated, meter.edge))
            one.cpu.append(meter.used())
        await _halve(load, one, sizes)


async def _halve(load: LoadClient, one: Measured, sizes: Sizes) -> None:
    rate = max(1.0, one.sends_per_s / 2)
    for _ in range(sizes.repetitions):
        one.halved.append(await load.run(_run(sizes, messages_per_s=rate)))


def _run(sizes: Sizes, *, window: int = 0, messages_per_s: float = 0) -> Run:
    return Run(
        window=window,
        messages_per_s=messages_per_s,
        warm_up_s=sizes.warm_up_s,
        seconds=sizes.seconds,
    )


def rows_of(measured: list[Measured]) -> list[list[str]]:
    head = [
        "server",
        "stored",
        "sends/s",
        "deliveries/s",
        "ack p50 ms at half",
        "ack p99",
        "delivery p50",
        "delivery p99",
        "CPU us a send: server",
        "PostgreSQL",
        "Valkey",
        "of all in the kernel",
        "lost",
        "order",
        "client",
    ]
    return [head, *(_row(one) for one in measured)]


def _row(one: Measured) -> list[str]:
    runs = one.saturated + one.halved
    lost = sum(run.lost for run in runs)
    client = statistics.median(run.client_core_share for run in one.saturated)
    return [
        one.label,
        "yes" if one.peer.keeps else "no",
        spread([run.sends_per_s for run in one.saturated]),
        spread([run.deliveries_per_s for run in one.saturated]),
        spread([run.ack.p50_ms for run in one.halved]),
        spread([run.ack.p99_ms for run in one.halved]),
        spread([run.delivery.p50_ms for run in one.halved]),
        spread([run.delivery.p99_ms for run in one.halved]),
        *(_cpu_us(one, name) for name in ("server", "PostgreSQL", "Valkey")),
        _kernel_us(one),
        f"{lost:,}" if lost else "none",
        "same" if not any(run.rooms_differing for run in runs) else "differs",
        f"{client:.0%}" + (" (limit)" if client > _CLIENT_BOUND else ""),
    ]


def _cpu_us(one: Measured, name: str) -> str:
    used = statistics.median(
        cpu[name].total_s / result.acknowledged * 1e6
        for cpu, result in zip(one.cpu, one.saturated, strict=True)
        if result.acknowledged
    )
    return f"{used:.0f}"


def _kernel_us(one: Measured) -> str:
    used = statistics.median(
        sum(part.system_s for part in cpu.values()) / result.acknowledged * 1e6
        for cpu, result in zip(one.cpu, one.saturated, strict=True)
        if result.acknowledged
    )
    return f"{used:.0f}"


def chart_of(measured: list[Measured], sizes: Sizes) -> Chart:
    return Chart(
        file="live-rooms.svg",
        title=f"Messages a second on one core, rooms of {sizes.members}",
        unit="acknowledged sends/s, each delivered to the whole room",
        bars=[
            Bar(label=one.label, value=one.sends_per_s, keeps=one.peer.keeps)
            for one in sorted(measured, key=lambda one: -one.sends_per_s)
        ],
    )
