"""What the sockets count."""

from functools import cache
from typing import Final

from prometheus_client import Counter, Gauge

OPEN: Final = Gauge("feira_sockets_open", "Open sockets")
CLOSED: Final = Counter(
    "feira_sockets_closed", "Sockets the server closed, by close code", ["code"]
)
_COMMANDS: Final = Counter("feira_socket_commands", "Commands received", ["name"])
FRAMES_WRITTEN: Final = Counter("feira_socket_frames_written", "Frames written")
SLOW_CLIENTS: Final = Counter(
    "feira_sockets_slow", "Sockets closed because their client did not keep up"
)


@cache
def commands(name: str) -> Counter:
    """The child of one of the protocol's commands: looking it up costs several times what counting does."""
    return _COMMANDS.labels(name)
