"""Valkey: the bus and the job queue. It keeps nothing on disk; losing all of it loses only liveness."""

from feira.platform.runtime.embedded.binaries import valkey_server
from feira.platform.runtime.embedded.folder import DataFolder
from feira.platform.runtime.embedded.ports import PortBook, is_free
from feira.platform.runtime.embedded.probe import exchange, until_ready
from feira.platform.runtime.embedded.process import ServerProcess

_READY_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 5.0


class ValkeyServer:
    """`start` again after `stop` or a crash serves on the same port, empty."""

    name = "valkey"

    def __init__(self, folder: DataFolder, ports: PortBook) -> None:
        self._folder = folder
        self._ports = ports
        self._port = 0
        self.process = ServerProcess(self.name, folder.logs / "valkey.log")

    @property
    def url(self) -> str:
        """Its first database."""
        return f"redis://127.0.0.1:{self._port}/0"

    async def start(self) -> None:
        """Return when it answers.

        Raises:
            EmbeddedServerError: with what is in the way.
        """
        # After a crash the same port again: others hold the URL.
        self._port = self._port or self._ports.claim(self.name)
        options = {
            "port": str(self._port),
            "bind": "127.0.0.1",
            "protected-mode": "yes",
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            "maxmemory": "256mb",
            # The queue must not lose jobs to make room for caches: writers hear about it instead.
            "maxmemory-policy": "noeviction",
        }
        argv = [part for name, value in options.items() for part in (f"--{name}", value)]
        self.process.spawn([str(valkey_server()), *argv], cwd=self._folder.path, env={})
        await until_ready(self.process, self._is_ready, _READY_TIMEOUT_S)

    async def exited(self) -> int:
        return await self.process.exited()

    def kill(self) -> None:
        self.process.kill()

    def lost_port(self) -> bool:
        """Whether somebody else took the port; then the next `start` chooses another."""
        if self._port == 0 or is_free(self._port):
            return False
        self._ports.forget(self.name)
        self._port = 0
        return True

    async def stop(self) -> None:
        await self.process.stop(_STOP_TIMEOUT_S)

    async def _is_ready(self) -> bool:
        return (await exchange("127.0.0.1", self._port, b"PING\r\n")).startswith(b"+PONG")
