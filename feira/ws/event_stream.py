"""The line of a client that WebSockets do not reach: one endless HTTP answer, `text/event-stream`.

An event's data is what a WebSocket's text frame would hold: one message a line. What such a client says comes by
requests of its own (`fallback`), on whatever node.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Final
from uuid import UUID, uuid4

from feira.actors.frames import Frame
from feira.platform.runtime.tasks import TaskOwner
from feira.ws.close_codes import CloseCode
from feira.ws.limits import SocketLimits
from feira.ws.line import Line
from feira.ws.protocol import join_frames
from feira.ws.turn import Turn

HEADERS: Final = {
    "Content-Type": "text/event-stream",
    # Proxies that see these pass on at once what comes.
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


class EventStream(Line):
    """The body of a chunked HTTP/1.1 answer, after its head."""

    __slots__ = ("_stream_id", "_written_at")

    def __init__(self, limits: SocketLimits, tasks: TaskOwner, turn: Turn) -> None:
        super().__init__("json", limits, tasks, turn)
        self._stream_id = uuid4()
        self._written_at = time.monotonic()

    @property
    def stream_id(self) -> UUID:
        return self._stream_id

    def tick(self, now: float) -> None:
        if self._is_ending:
            return
        if self._is_stuck(now):
            self.close(CloseCode.SLOW)
        elif now - self._written_at > self._limits.ping_every_s:
            # A comment: proxies keep the answer open, and the client knows that somebody is there.
            self._write(_chunk(b":\n\n"))

    def take_message(self, payload: bytes) -> None:
        if len(self._pending) >= self._limits.pending_messages_max:
            self.close(CloseCode.RATE_LIMITED)
        else:
            super().take_message(payload)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        limits = self._limits
        # Nothing comes back on this connection that a pong could be: the kernel notices whose host is gone.
        peer: socket.socket = transport.get_extra_info("socket")
        silent_ms = int((limits.ping_every_s + limits.pong_within_s) * 1000)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, silent_ms)

    def data_received(self, data: bytes) -> None:
        """The request was read to its end; what else comes is for nobody."""

    def _framed(self, frames: list[Frame]) -> bytes:
        return _chunk(sse_event(join_frames(frames, "json")))

    def _last_words(self, code: CloseCode) -> bytes:
        del code  # The `disconnect` message told it.
        return _chunk(b"")

    def _failed(self) -> None:
        self.abort()

    def _end(self, last_words: bytes) -> None:
        if not self._is_ending:
            super()._end(last_words)
            if self._transport is not None:
                # When all of it is written; the timer ends it before, if need be.
                self._transport.close()

    def _write(self, data: bytes) -> None:
        self._written_at = time.monotonic()
        super()._write(data)


def sse_event(data: bytes) -> bytes:
    """A server-sent event (HTML standard, 9.2.6)."""
    return b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def _chunk(data: bytes) -> bytes:
    """RFC 9112, 7.1; the empty one is the last."""
    return b"%x\r\n%b\r\n" % (len(data), data)
