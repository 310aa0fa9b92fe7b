"""Peers in Python: one on this environment's own packages, the others on theirs, from PyPI."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

from bench.live.kit import HERE, Kit
from bench.live.peers.peer import Program
from feira.platform.runtime.config import Config


class Naive(Program):
    name = "aiohttp + asyncpg, naive"
    keeps = True

    async def obtain(self, kit: Kit) -> str:
        del kit
        packages = ("aiohttp", "asyncpg", "uvloop")
        return ", ".join(
            [f"Python {platform.python_version()}"]
            + [f"{name} {importlib.metadata.version(name)}" for name in packages]
        )

    def argv(self, stores: Config, port: int) -> list[str]:
        program = HERE / "peers" / "servers" / "naive.py"
        return [sys.executable, str(program), str(port), stores.postgres_dsn]
