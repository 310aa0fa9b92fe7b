"""`feira serve`: one node of HTTP and sockets, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import gc
from typing import Final, cast

import msgspec
import uvloop

from feira.app import open_node
from feira.commands.signals import stop_on_signals
from feira.platform.runtime.config import ALL_SERVICES, Config, ServiceName
from feira.platform.runtime.telemetry import configure_logging

# A node makes many short-lived objects and few cycles: Python's 700 has it look for cycles thousands of times a second,
# which was a fifth of its time.
GC_THRESHOLD: Final = 50_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one")
    parser.add_argument(
        "--services",
        type=_services,
        help=f"serve only these, separated by commas: {', '.join(ALL_SERVICES)}",
    )


def run(config: Config, args: argparse.Namespace) -> int:
    given = {
        name: value
        for name in ("host", "port", "services")
        if (value := getattr(args, name)) is not None
    }
    config = msgspec.structs.replace(config, **given)
    configure_logging(config.log_level, config.log_format)
    uvloop.run(_serve(config))
    return 0


async def _serve(config: Config) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    # Several nodes of one machine may share the port: the kernel spreads connections over them.
    async with open_node(config, reuse_port=True):
        # What is there now stays: it need not be looked at again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        await stop.wait()


def _services(text: str) -> tuple[ServiceName, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in ALL_SERVICES]
    if unknown or not names:
        raise argparse.ArgumentTypeError(
            f"unknown: {', '.join(unknown)}; choose from {', '.join(ALL_SERVICES)}"
        )
    return cast("tuple[ServiceName, ...]", names)
