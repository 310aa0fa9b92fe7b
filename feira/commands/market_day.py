"""`feira market-day`: plays a busy market through the public API and real sockets, and fails unless all is well."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

import uvloop

from feira.market_day.day import Day, DayOptions
from feira.market_day.report import report
from feira.market_day.stage import StageError, open_stage
from feira.platform.runtime.config import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    defaults = DayOptions()
    parser.add_argument(
        "--seconds", type=float, default=defaults.seconds, help="how long people trade (60)"
    )
    parser.add_argument(
        "--buyers", type=int, default=defaults.buyers, help="how many walk around (200)"
    )
    parser.add_argument(
        "--sellers", type=int, default=defaults.sellers, help="how many keep a stall (20)"
    )
    parser.add_argument("--seed", type=int, help="repeat the dice of an earlier day")
    parser.add_argument(
        "--calm", action="store_true", help="nothing is killed and nobody's socket drops"
    )
    parser.add_argument("--data-dir", type=Path, help="keep the market here afterwards")


def run(config: Config, args: argparse.Namespace) -> int:
    # The day opens a market of its own: the settings of this process are for others.
    del config
    options = DayOptions(
        seconds=args.seconds,
        buyers=args.buyers,
        sellers=args.sellers,
        seed=secrets.randbelow(2**31) if args.seed is None else args.seed,
        calm=args.calm,
    )
    try:
        with tempfile.TemporaryDirectory(prefix="feira-day-") as folder:
            # PostgreSQL's own user passes through where this runs as root.
            Path(folder).chmod(0o711)
            return uvloop.run(_play((args.data_dir or Path(folder) / "market").absolute(), options))
    except StageError as error:
        print(f"feira: {error}", file=sys.stderr)
        return 1


async def _play(data_dir: Path, options: DayOptions) -> int:
    print(
        f"a market day with {options.sellers} sellers and {options.buyers} buyers (--seed {options.seed})"
    )
    async with open_stage(data_dir) as stage:
        print(f"the market is open at {stage.url}", flush=True)
        day = Day(stage, options, _say)
        try:
            found = await day.run()
        except TimeoutError:
            day.record.problems.append("a phase did not end in time")
            print(f"feira: something hung: {day.record.problems}", file=sys.stderr)
            return 1
        await asyncio.sleep(0)
    print(report(day.record, found))
    return 1 if found.problems else 0


def _say(line: str) -> None:
    print(f"  {line}", flush=True)
