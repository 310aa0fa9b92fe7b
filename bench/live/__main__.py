"""`python -m bench.live [scenario ...] [--write]`: the real-time figures against peers, on one machine in one run."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import uvloop

from bench.live import (
    scenario_broadcast,
    scenario_idle,
    scenario_killed,
    scenario_light,
    scenario_orders,
    scenario_persisted,
    scenario_rooms,
    scenario_stalled,
)
from bench.live.bench import Bench, Sizes
from bench.live.cores import SERVER_CORES, children_on
from bench.live.kit import Kit, Unobtainable
from bench.live.peers.compiled import Floor
from bench.live.peers.debian import Ejabberd, Nchan
from bench.live.peers.feira import Feira
from bench.live.peers.node import SocketIo, Ws
from bench.live.peers.peer import Peer
from bench.live.peers.python import Channels, Naive, PythonSocketIo
from bench.live.report import Comparison, render, write_chart
from bench.report import write_section
from bench.stage import allow_many_sockets, open_servers
from feira.platform.runtime.telemetry import configure_logging

Scenario = Callable[[Bench], Coroutine[Any, Any, Comparison]]

SCENARIOS: Final[dict[str, Scenario]] = {
    "rooms": scenario_rooms.measure,
    "broadcast": scenario_broadcast.measure,
    "persisted": scenario_persisted.measure,
    "light": scenario_light.measure,
    "orders": scenario_orders.measure,
    "killed": scenario_killed.measure,
    "stalled": scenario_stalled.measure,
    "idle": scenario_idle.measure,
}
PEERS: Final[dict[str, Callable[[], Peer]]] = {
    "feira": Feira,
    "naive": Naive,
    "ws": Ws,
    "socketio": SocketIo,
    "python-socketio": PythonSocketIo,
    "channels": Channels,
    "nchan": Nchan,
    "ejabberd": Ejabberd,
    "floor": Floor,
}
CACHE: Final = Path.home() / ".cache" / "feira-bench"


async def measure(
    scenarios: list[str],
    peers: list[Peer],
    sizes: Sizes,
    kit: Kit,
    done: Callable[[str, Comparison], None],
) -> None:
    """Obtain peers, open stores, and hand over each scenario's result as it comes."""
    versions: list[str] = []
    present: list[Peer] = []
    for peer in peers:
        try:
            versions.append(f"{peer.name}: {await peer.obtain(kit)}")
            present.append(peer)
        except Unobtainable as error:
            versions.append(f"{peer.name}: not measured, {error}")
    load_client = await kit.load_client()
    allow_many_sockets()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="feira-live-"))
        with children_on(SERVER_CORES):
            stores = await stack.enter_async_context(open_servers())
        bench = Bench(
            stores=stores, load_client=load_client, folder=Path(folder), peers=present, sizes=sizes
        )
        for name in scenarios:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            bench.failures.clear()
            comparison = await SCENARIOS[name](bench)
            comparison.remarks.extend(bench.failures)
            done(render(comparison, _command(), versions), comparison)


def main() -> int:
    args = _parser().parse_args()
    sizes = Sizes(
        **{
            field: getattr(args, field)
            for field in Sizes.__struct_fields__
            if getattr(args, field) is not None
        }
    )

    # Results alone are for the standard output.
    configure_logging("warning", "console")

    def done(section: str, comparison: Comparison) -> None:
        print(section, flush=True)
        if args.write:
            write_section(section)
            if comparison.chart is not None:
                write_chart(comparison.chart)

    peers = [PEERS[name]() for name in args.peers.split(",")]
    uvloop.run(measure(args.scenarios or list(SCENARIOS), peers, sizes, Kit(args.cache), done))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.live", description=__doc__)
    parser.add_argument(
        "scenarios",
        nargs="*",
        metavar="scenario",
        choices=[*SCENARIOS, []],
        help=", ".join(SCENARIOS),
    )
    parser.add_argument(
        "--peers", default=",".join(PEERS), help="of these, separated by commas: %(default)s"
    )
    parser.add_argument(
        "--write", action="store_true", help="put the results into RESULTS.md and docs/images"
    )
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help="where peers are kept: %(default)s"
    )
    for field in msgspec.structs.fields(Sizes):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=cast("type[int | float]", field.type),
            help=f"{field.default}",
        )
    return parser


def _command() -> str:
    return " ".join(["python -m bench.live", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
