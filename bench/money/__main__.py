"""`python -m bench.money [scenario ...] [--write] [--quick]`: the figures of money's machinery, beside peers.

A scenario is a function from `Bench` to a `Comparison`, in a module `scenario_*.py`, named in `SCENARIOS`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.live.kit import Kit
from bench.live.report import Comparison, render
from bench.money import scenario_jobs
from bench.money.bench import Bench
from bench.report import write_section
from bench.stage import open_servers
from feira.platform.runtime.config import Config
from feira.platform.runtime.telemetry import configure_logging

Scenario = Callable[[Bench], Coroutine[Any, Any, Comparison]]

SCENARIOS: Final[dict[str, Scenario]] = {"jobs": scenario_jobs.measure}
CACHE: Final = Path.home() / ".cache" / "feira-bench"


async def measure(names: list[str], bench_of: Callable[[Config], Bench], command: str) -> list[str]:
    """Run scenarios, each on stores of its own; returns their sections."""
    sections: list[str] = []
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        async with open_servers() as stores:
            bench = bench_of(stores)
            comparison = await SCENARIOS[name](bench)
        sections.append(render(comparison, command, bench.versions, part="money"))
        print(sections[-1], flush=True)
    return sections


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.money", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=", ".join(SCENARIOS))
    parser.add_argument("--write", action="store_true", help="put the results into RESULTS.md")
    parser.add_argument("--quick", action="store_true", help="tiny numbers, to try the code")
    parser.add_argument("--no-peers", action="store_true", help="measure Feira alone")
    parser.add_argument("--cache", type=Path, default=CACHE, help="of peers: %(default)s")
    args = parser.parse_args()
    names: list[str] = args.scenarios or list(SCENARIOS)
    if unknown := [name for name in names if name not in SCENARIOS]:
        parser.error(f"unknown: {', '.join(unknown)}; choose from {', '.join(SCENARIOS)}")
    if args.write and args.quick:
        parser.error("tiny numbers are not worth writing down")
    configure_logging("warning", "console")

    def bench_of(stores: Config) -> Bench:
        return Bench(
            stores=stores, kit=Kit(args.cache), is_quick=args.quick, with_peers=not args.no_peers
        )

    command = " ".join(["python -m bench.money", *sys.argv[1:]])
    for section in uvloop.run(measure(names, bench_of, command)):
        if args.write:
            write_section(section)
    return 0


if __name__ == "__main__":
    sys.exit(main())
