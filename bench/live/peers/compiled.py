"""The floor: a broadcaster in C that parses, keeps and awaits nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench.live.kit import HERE, Kit, run
from bench.live.peers.peer import Program
from feira.platform.runtime.config import Config

_SOURCES: Final = (HERE / "peers" / "broadcaster.c", HERE / "load" / "websocket.c")


class Floor(Program):
    name = "C broadcaster"

    def __init__(self) -> None:
        self._binary = Path()

    async def obtain(self, kit: Kit) -> str:
        self._binary = await kit.compiled("broadcaster", _SOURCES)
        return (await run("cc", "--version")).splitlines()[0]

    def argv(self, stores: Config, port: int) -> list[str]:
        del stores
        return [str(self._binary), str(port)]
