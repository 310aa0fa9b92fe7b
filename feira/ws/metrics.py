"""What the sockets count."""

from typing import Final

from prometheus_client import Counter, Gauge

OPEN: Final = Gauge("feira_sockets_open", "Open sockets")
CLOSED: Final = Counter(
    "feira_sockets_closed", "Sockets the server closed, by close code", ["code"]
)
COMMANDS: Final = Counter("feira_socket_commands", "Commands received", ["name"])
FRAMES_WRITTEN: Final = Counter("feira_socket_frames_written", "Frames written")
SLOW_CLIENTS: Final = Counter(
    "feira_sockets_slow", "Sockets closed because their client did not keep up"
)
