"""What an idle connected client costs the server in memory, and all of them together in CPU.

A client process opens sockets to one `feira serve`, each of another user, and each watches two topics: its user's
inbox and a conversation of its own, so nothing is shared between clients. First some sockets open that are not
counted, so that pools and caches are filled; then the resident memory of the server process is read, the counted
sockets open, and the server's CPU time is read over two rounds of pings, while the top check and the renewal of
presence go on. Then the resident memory is read again. The figure is the difference divided by the counted
sockets. Memory of the kernel's sockets and of Valkey's and PostgreSQL's own processes is not in it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec

from bench.client_process import Client, run_client
from bench.idle_client import IdleEnd, IdleReady, IdleWork
from bench.processes import cpu_of, rss_kib
from bench.report import Figure
from bench.samples import line_of_results
from bench.stage import Stage, make_talkers, open_servers, open_stage

KIB_GOAL: Final = 20.0
_SETTLED_KIB: Final = 256
_SETTLE_EVERY_S: Final = 0.5
_SETTLE_TIMEOUT_S: Final = 20.0


class IdleSizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured. Each repetition is a server of its own."""

    sockets: int = 2_000
    warm_up_sockets: int = 100
    watched_s: float = 50.0
    repetitions: int = 3


SMALL: Final = IdleSizes(sockets=20, warm_up_sockets=5, watched_s=0.5, repetitions=1)


class IdleSample(msgspec.Struct, frozen=True, kw_only=True):
    """One server's: KiB per socket, and the share of a core that all sockets together take."""

    kib_per_socket: float
    core_percent: float
    rss_before_mib: float


async def measure(sizes: IdleSizes) -> Figure:
    """Open a stage for each repetition and measure on it."""
    samples: list[IdleSample] = []
    for _ in range(sizes.repetitions):
        async with open_servers() as config, open_stage(config) as stage:
            samples.append(await sample_on(stage, sizes))
    return figure_of(samples, sizes)


def figure_of(samples: list[IdleSample], sizes: IdleSizes) -> Figure:
    memory = line_of_results(
        "resident memory per idle client", "KiB", [sample.kib_per_socket for sample in samples]
    )
    return Figure(
        name="idle",
        what="Server memory for an idle connected client with two subscriptions.",
        goal=f"at most {KIB_GOAL:g} KiB",
        reached=f"{memory.median:.1f} KiB per client",
        is_met=memory.median <= KIB_GOAL,
        lines=[
            memory,
            line_of_results(
                f"server CPU with {sizes.sockets:,} idle clients",
                "% of a core",
                [sample.core_percent for sample in samples],
            ),
            line_of_results(
                "resident memory before them", "MiB", [sample.rss_before_mib for sample in samples]
            ),
        ],
        remarks=[
            f"{sizes.sockets:,} sockets after {sizes.warm_up_sockets} uncounted ones",
            f"a new server for each of {sizes.repetitions} repetitions, idle for {sizes.watched_s:g} s",
        ],
    )


async def sample_on(stage: Stage, sizes: IdleSizes) -> IdleSample:
    talkers = await make_talkers(stage, sizes.warm_up_sockets + sizes.sockets)
    first = IdleWork(url=stage.url, talkers=talkers[: sizes.warm_up_sockets])
    counted = IdleWork(url=stage.url, talkers=talkers[sizes.warm_up_sockets :])
    async with run_client("bench.idle_client", first) as early:
        await early.hear(IdleReady)
        before = await _settled_kib(stage.server_pid)
        async with run_client("bench.idle_client", counted) as many:
            await many.hear(IdleReady)
            core_percent = await _watched_core_percent(stage.server_pid, sizes.watched_s)
            after = await _settled_kib(stage.server_pid)
            await _require_all_open(many, sizes.sockets)
    return IdleSample(
        kib_per_socket=(after - before) / sizes.sockets,
        core_percent=core_percent,
        rss_before_mib=before / 1024,
    )


async def _require_all_open(client: Client, sockets: int) -> None:
    client.end()
    end = await client.hear(IdleEnd)
    if end.open != sockets:
        raise RuntimeError(f"{sockets - end.open} of {sockets} sockets did not last")


async def _settled_kib(pid: int) -> int:
    """Resident memory once it stands still; what was just opened still frees its scaffolding."""
    deadline = time.monotonic() + _SETTLE_TIMEOUT_S
    before = rss_kib(pid)
    while time.monotonic() < deadline:
        await asyncio.sleep(_SETTLE_EVERY_S)
        now = rss_kib(pid)
        if abs(now - before) < _SETTLED_KIB:
            return now
        before = now
    return before


async def _watched_core_percent(pid: int, watched_s: float) -> float:
    began, used = time.monotonic(), cpu_of([pid]).total_s
    await asyncio.sleep(watched_s)
    return (cpu_of([pid]).total_s - used) / (time.monotonic() - began) * 100
