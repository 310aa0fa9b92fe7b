"""Peers from Debian's packages, unpacked into the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench.live.kit import HERE, Kit, Unobtainable, run
from bench.live.load.client import Dialect
from bench.live.peers.peer import Program
from feira.platform.runtime.config import Config

_SERVERS: Final = HERE / "peers" / "servers"
_NGINX_STATE: Final = Path("/var/lib/nginx")


class Nchan(Program):
    name = "nginx nchan"
    dialect: Dialect = "nchan"

    def __init__(self) -> None:
        self._root = Path()
        self._folder = Path()

    async def obtain(self, kit: Kit) -> str:
        self._root = await kit.debian_root("nchan", ("nginx", "libnginx-mod-nchan"))
        self._folder = kit.folder / "nchan-run"
        self._folder.mkdir(exist_ok=True)
        # With nchan, nginx makes its temporary folders here, whatever its configuration says.
        try:
            _NGINX_STATE.mkdir(exist_ok=True)
        except OSError as error:
            raise Unobtainable(f"needs {_NGINX_STATE}: {error.strerror}") from None
        version = await run(self._nginx, "-v")
        module = await run("apt-cache", "policy", "libnginx-mod-nchan")
        candidate = next(line.split()[1] for line in module.splitlines() if "Candidate:" in line)
        return f"{version.strip()}, nchan {candidate}"

    def argv(self, stores: Config, port: int) -> list[str]:
        del stores
        conf = self._folder / "nginx.conf"
        text = (_SERVERS / "nchan.conf").read_text(encoding="utf-8")
        conf.write_text(text.format(root=self._root, folder=self._folder, port=port))
        return [str(self._nginx), "-e", "stderr", "-p", str(self._folder), "-c", str(conf)]

    @property
    def _nginx(self) -> Path:
        return self._root / "usr" / "sbin" / "nginx"
