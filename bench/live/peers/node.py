"""Peers that run on Node.js, from npm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.live.kit import HERE, Kit, run
from bench.live.load.client import Dialect
from bench.live.peers.peer import Program
from feira.platform.runtime.config import Config


class _Package(msgspec.Struct):
    version: str


class _NodeProgram(Program):
    packages: Sequence[str]
    program: str

    def __init__(self) -> None:
        self._program = Path()

    async def obtain(self, kit: Kit) -> str:
        folder = await kit.node_modules(self.program, self.packages)
        # Node looks for packages from where the program lies.
        self._program = folder / f"{self.program}.mjs"
        source = HERE / "peers" / "servers" / self._program.name
        self._program.write_bytes(source.read_bytes())
        names = [package.rpartition("@")[0] for package in self.packages]
        return ", ".join(
            [f"Node {(await run('node', '--version')).strip()}"]
            + [f"{name} {_version(folder, name)}" for name in names]
        )


class Ws(_NodeProgram):
    name = "ws"
    program = "ws"
    packages = ("ws@8",)

    def argv(self, stores: Config, port: int) -> list[str]:
        del stores
        return ["node", str(self._program), str(port)]


class SocketIo(_NodeProgram):
    name = "Socket.IO"
    dialect: Dialect = "socketio"
    can_cluster = True
    path = "/socket.io/?EIO=4&transport=websocket"
    program = "socketio"
    packages = ("socket.io@4", "@socket.io/redis-adapter@8", "redis@5")

    def argv(self, stores: Config, port: int) -> list[str]:
        return ["node", str(self._program), str(port), stores.redis_url]


def _version(folder: Path, package: str) -> str:
    text = (folder / "node_modules" / package / "package.json").read_bytes()
    return msgspec.json.decode(text, type=_Package).version
