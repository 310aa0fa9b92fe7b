"""`feira work`: carries out jobs, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio

import uvloop

from feira.app import work
from feira.commands.signals import stop_on_signals
from feira.platform.runtime.config import Config
from feira.platform.runtime.telemetry import configure_logging


def run(config: Config, args: argparse.Namespace) -> int:
    del args
    configure_logging(config.log_level, config.log_format)
    uvloop.run(_work(config))
    return 0


async def _work(config: Config) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    await work(config, stop)
