"""Peers in Python: one on this environment's own packages, the others on theirs, from PyPI."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.live.kit import HERE, Kit, run
from bench.live.load.client import Dialect
from bench.live.peers.peer import Program, count_rows
from feira.platform.runtime.config import Config

_SERVERS = HERE / "peers" / "servers"


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

    async def count_kept(self, stores: Config) -> int:
        return await count_rows(stores.postgres_dsn, "naive_messages")

    def argv(self, stores: Config, port: int) -> list[str]:
        return [sys.executable, str(_SERVERS / "naive.py"), str(port), stores.postgres_dsn]


class _ForeignProgram(Program):
    """On an interpreter with packages of its own."""

    can_cluster = True
    program: str
    requirements: Sequence[str]
    shown: Sequence[str]

    def __init__(self) -> None:
        self._python = Path()

    async def obtain(self, kit: Kit) -> str:
        self._python = await kit.python_with(self.program, self.requirements)
        script = "import importlib.metadata as m, sys; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
        versions = await run(self._python, "-c", script, *self.shown)
        return f"Python {platform.python_version()}, {versions.strip()}"

    def argv(self, stores: Config, port: int) -> list[str]:
        program = _SERVERS / f"{self.program}.py"
        return [str(self._python), str(program), str(port), stores.redis_url]


class PythonSocketIo(_ForeignProgram):
    name = "python-socketio"
    dialect: Dialect = "socketio"
    path = "/socket.io/?EIO=4&transport=websocket"
    program = "python_socketio"
    requirements = ("python-socketio>=5,<6", "redis", "uvicorn[standard]")
    shown = ("python-socketio", "redis", "uvicorn", "uvloop", "websockets")


class Channels(_ForeignProgram):
    name = "Django Channels"
    program = "channels_rooms"
    # From redis 8 on, its pool has 100 connections and no more; Channels takes one for each client.
    requirements = ("channels>=4,<5", "channels-redis>=4,<5", "redis>=5,<6", "uvicorn[standard]")
    shown = ("django", "channels", "channels-redis", "uvicorn", "uvloop", "websockets")
