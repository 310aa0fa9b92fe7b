"""What a client is connected by, whatever its bytes look like: says what is pushed, within bounds, and ends in time.

    open --close(code), or the client leaves--> ending --the client is gone, or 2 s later--> lost

It stands on the transport itself, so an idle client costs neither a task nor a coroutine. Pushing never blocks and
never raises: whoever fans out to a thousand clients must not wait for one. A client that does not read is closed; it
pays alone for it.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any, Final, Protocol, cast
from uuid import UUID

from feira.actors.frames import Encoding, Frame, encode_message
from feira.platform.runtime.tasks import TaskOwner
from feira.ws import metrics
from feira.ws.close_codes import CloseCode
from feira.ws.limits import SocketLimits
from feira.ws.turn import Turn

FRAME_BYTES_AIM: Final = 64 * 1024


class Client(Protocol):
    """Whom a line serves."""

    def receive(self, data: bytes) -> Coroutine[Any, Any, None] | None:
        """Carry out what one frame of messages holds. What is returned is awaited before the next."""

    def left(self) -> None:
        """The line is lost; called once."""


class Line(asyncio.Protocol, ABC):
    """Owns one client's transport."""

    __slots__ = (
        "_client",
        "_closing",
        "_end_timer",
        "_is_ending",
        "_is_flush_due",
        "_is_working",
        "_limits",
        "_loop",
        "_paused_since",
        "_pending",
        "_queue",
        "_queue_bytes",
        "_queue_messages",
        "_slow_since",
        "_tasks",
        "_transport",
        "_turn",
        "encoding",
    )

    def __init__(
        self, encoding: Encoding, limits: SocketLimits, tasks: TaskOwner, turn: Turn
    ) -> None:
        self.encoding: Final = encoding
        self._limits = limits
        self._tasks = tasks
        self._turn = turn
        self._client: Client | None = None
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._pending: list[bytes] = []
        self._is_working = False
        self._queue: list[Frame] = []
        self._queue_bytes = 0
        self._queue_messages = 0
        self._is_flush_due = False
        self._closing: CloseCode | None = None
        self._is_ending = False
        self._end_timer: asyncio.TimerHandle | None = None
        self._paused_since: float | None = None
        self._slow_since: float | None = None

    def serve(self, client: Client) -> None:
        """Name the client's session; before the first byte."""
        self._client = client

    @property
    def is_open(self) -> bool:
        return not self._is_ending

    @property
    def is_closed_by_us(self) -> bool:
        """Whether what the client sent before counts no more."""
        return self._closing is not None

    @property
    def stream_id(self) -> UUID | None:
        """Its name, where the client says things by other ways than it hears them."""
        return None

    # What the session calls.

    def push(self, frame: Frame) -> None:
        """Queue messages. All that one turn of the loop pushes leaves in one write."""
        if self._is_ending:
            return
        self._queue.append(frame)
        self._queue_bytes += len(frame.data)
        self._queue_messages += frame.messages
        limits = self._limits
        if (
            self._queue_messages > limits.queue_messages_slow
            or self._queue_bytes > limits.queue_bytes_max
        ) and self._is_slow():
            self.close(CloseCode.SLOW)
        elif not self._is_flush_due and self._paused_since is None:
            self._is_flush_due = True
            self._turn.add(self)

    def close(self, code: CloseCode, *, retry_ms: tuple[int, int] | None = None) -> None:
        """Say why and end, whether or not the client listens; `retry_ms` asks it back in that window."""
        if self._is_ending:
            return
        self._closing = code
        goodbye: dict[str, object] = {"code": int(code), "reason": code.reason}
        if retry_ms is not None:
            goodbye["retry_ms"] = retry_ms
        if code is CloseCode.SLOW:
            # It does not read anyway; what it missed it resumes.
            self._queue.clear()
            metrics.SLOW_CLIENTS.inc()
        self._queue.append(encode_message({"disconnect": goodbye}, self.encoding))
        while self._queue:
            self._write_messages(self._take())
        metrics.CLOSED.labels(str(int(code))).inc()
        self._end(self._last_words(code))

    def abort(self) -> None:
        """Drop the transport: for a peer that is gone."""
        self._is_ending = True
        if self._transport is not None:
            self._transport.abort()

    @abstractmethod
    def tick(self, now: float) -> None:
        """From time to time: greet the silent, close those that do not read or finish."""

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def eof_received(self) -> bool:
        self._end(b"")
        return False

    def pause_writing(self) -> None:
        self._paused_since = time.monotonic()

    def resume_writing(self) -> None:
        self._paused_since = None
        if not self._is_ending:
            self.flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._is_ending = True
        self._transport = None
        if self._end_timer is not None:
            self._end_timer.cancel()
        self._queue.clear()
        if self._client is not None:
            self._client.left()

    # What subclasses say.

    @abstractmethod
    def _framed(self, frames: list[Frame]) -> bytes:
        """Messages as they leave together."""

    def _framed_alone(self, frame: Frame) -> bytes:
        """The same of one frame."""
        return self._framed([frame])

    @abstractmethod
    def _last_words(self, code: CloseCode) -> bytes:
        """What follows the `disconnect` message."""

    @abstractmethod
    def _failed(self) -> None:
        """Carrying out a message hit a bug."""

    def _worked(self) -> None:
        """A message was carried out; more may be taken in."""

    def _worked_off(self) -> None:
        """Nothing is under way any more."""

    # Carrying out, one after the other.

    def take_message(self, payload: bytes) -> None:
        """Have a frame of messages carried out, when those before it are."""
        if self._is_working:
            self._pending.append(payload)
        elif (work := self._carry_out(payload)) is not None:
            self._is_working = True
            self._tasks.start(self._work(work), name="ws-worker")

    def _carry_out(self, payload: bytes) -> Coroutine[Any, Any, None] | None:
        assert self._client is not None
        try:
            return self._client.receive(payload)
        except Exception:
            self._failed()
            raise

    async def _work(self, work: Coroutine[Any, Any, None] | None) -> None:
        try:
            while work is not None:
                await work
                work = None
                # What a client said before it left is still carried out.
                while work is None and self._pending and self._closing is None:
                    work = self._carry_out(self._pending.pop(0))
                    self._worked()
        except Exception:
            self._failed()
            raise
        finally:
            self._is_working = False
            self._worked_off()

    # Writing.

    def _is_slow(self) -> bool:
        if self._slow_since is None:
            self._slow_since = time.monotonic()
        return (
            self._queue_bytes > self._limits.queue_bytes_max
            or time.monotonic() - self._slow_since > self._limits.slow_for_s
        )

    def _is_stuck(self, now: float) -> bool:
        """Whether the client has taken nothing for too long."""
        return (
            self._paused_since is not None
            and now - self._paused_since > self._limits.write_within_s
        )

    def flush(self) -> None:
        """Write what is queued, until the transport is full."""
        self._is_flush_due = False
        while self._queue and self._paused_since is None:
            if len(self._queue) > 1:
                self._write_messages(self._take())
            else:
                self._write_only(self._queue[0])

    def _write_only(self, frame: Frame) -> None:
        # The usual case in a fan-out: one frame, the same for every watcher.
        self._queue.clear()
        self._queue_bytes = self._queue_messages = 0
        self._slow_since = None
        self._write(self._framed_alone(frame))
        metrics.FRAMES_WRITTEN.inc()

    def _take(self) -> list[Frame]:
        size, taken = 0, 0
        for frame in self._queue:
            size += len(frame.data)
            taken += 1
            if size >= FRAME_BYTES_AIM:
                break
        frames, self._queue = self._queue[:taken], self._queue[taken:]
        self._queue_bytes -= size
        self._queue_messages -= sum(frame.messages for frame in frames)
        if self._queue_messages <= self._limits.queue_messages_slow:
            self._slow_since = None
        return frames

    def _write_messages(self, frames: list[Frame]) -> None:
        self._write(self._framed(frames))
        metrics.FRAMES_WRITTEN.inc()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    # Ending.

    def _end(self, last_words: bytes) -> None:
        """Write the last bytes, once; from now on only the client's end is waited for, and not for long."""
        if self._is_ending:
            return
        self.flush()
        self._queue.clear()
        self._is_ending = True
        self._write(last_words)
        if self._transport is not None:
            self._end_timer = self._loop.call_later(
                self._limits.close_within_s, self._transport.abort
            )
