"""Free loopback ports below the ephemeral range, kept from one start of a data folder to the next."""

import secrets
import socket
from pathlib import Path

import msgspec

from feira.platform.runtime.embedded.errors import EmbeddedServerError

# Linux hands outgoing connections ports from 32768 up: a server port above could be taken by one at any time.
PORT_MIN = 15_000
PORT_MAX = 32_767
_TRIES = 500


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a listener could bind the port now; another process may still be faster."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As a server would: connections in TIME_WAIT don't count, listeners do.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(avoid: set[int] | None = None) -> int:
    """A random free port; random, so that two folders started at once rarely choose the same."""
    avoid = avoid or set()
    for _ in range(_TRIES):
        port = PORT_MIN + secrets.randbelow(PORT_MAX - PORT_MIN + 1)
        if port not in avoid and is_free(port):
            return port
    message = f"no free port between {PORT_MIN} and {PORT_MAX}. Stop something that listens there"
    raise EmbeddedServerError(message)


class PortBook:
    """The ports a data folder used last; one that is taken meanwhile is replaced."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ports = _read(file)

    def claim(self, name: str) -> int:
        """The port of this name, free at this moment."""
        port = self._ports.get(name)
        if port is None or not is_free(port):
            port = free_port(set(self._ports.values()))
            self._ports[name] = port
            self._write()
        return port

    def forget(self, name: str) -> None:
        """Choose anew next time: the port turned out to be taken."""
        self._ports.pop(name, None)

    def _write(self) -> None:
        self._file.write_bytes(msgspec.json.encode(self._ports))


def _read(file: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, int])
    except (FileNotFoundError, msgspec.MsgspecError):
        return {}
