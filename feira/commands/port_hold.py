"""The port that several servers share: probed, then held for them.

Each server binds it with SO_REUSEPORT and the kernel spreads connections among those that listen. The holder
never listens, so it gets none; it only keeps others from taking the port while servers restart.
"""

import contextlib
import errno
import socket
from collections.abc import Generator

PORTS_TRIED = 20


class PortTakenError(Exception):
    """The message says which port, and what to do."""


@contextlib.contextmanager
def held_port(host: str, port: int, *, explicit: bool) -> Generator[int]:
    """Hold the port, or the next free one where the port was nobody's wish; 0 holds any free one.

    Raises:
        PortTakenError: another program listens there, or the address isn't this machine's.
    """
    holder = _hold_first_free(host, port, 1 if explicit or port == 0 else PORTS_TRIED)
    try:
        yield holder.getsockname()[1]
    finally:
        holder.close()


def _hold_first_free(host: str, port: int, tries: int) -> socket.socket:
    for candidate in range(port, port + tries):
        try:
            return _hold(host, candidate)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                message = f"cannot listen on {host}:{candidate}: {error.strerror}"
                raise PortTakenError(message) from error
    if tries == 1:
        message = (
            f"port {port} is taken by another program. "
            "Choose another with --port, or --port 0 for any free one"
        )
    else:
        message = f"ports {port} to {port + tries - 1} are taken. Choose another with --port"
    raise PortTakenError(message)


def _hold(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Without SO_REUSEPORT: a foreign listener that has it would otherwise share the port with us.
        # With SO_REUSEADDR: connections in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        port = probe.getsockname()[1]
    holder = socket.socket(family, socket.SOCK_STREAM)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((address[0], port, *address[2:]))
    except OSError:
        holder.close()
        raise
    return holder
