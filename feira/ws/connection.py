"""One WebSocket after its handshake: reads, queues and joins what is pushed, notices silence, ends in bounded time.

    open --close(code), or the client closes or breaks RFC 6455--> ending --it answers, or 2 s later--> lost

It stands on the transport itself, so an idle client costs neither a task nor a coroutine. Pushing never blocks and
never raises: whoever fans out to a thousand sockets must not wait for one. A client that does not read is closed; it
pays alone for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Final, Protocol, cast

import structlog

from feira.actors.frames import Encoding, Frame, encode_message
from feira.platform.runtime.tasks import TaskOwner
from feira.ws import metrics, wire
from feira.ws.close_codes import CloseCode
from feira.ws.limits import SocketLimits
from feira.ws.protocol import join_frames
from feira.ws.wire import FailCode, Opcode

log = structlog.get_logger("feira.ws")

FRAME_BYTES_AIM: Final = 64 * 1024


class Client(Protocol):
    """Whom a connection serves."""

    def receive(self, data: bytes) -> Coroutine[Any, Any, None] | None:
        """Carry out what one WebSocket message holds. What is returned is awaited before the next."""

    def left(self) -> None:
        """The connection is lost; called once."""


class Turn:
    """The connections of a process that have something to write when this turn of the loop ends."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._connections: list[Connection] = []

    def add(self, connection: Connection) -> None:
        if not self._connections:
            self._loop.call_soon(self._end)
        self._connections.append(connection)

    def _end(self) -> None:
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.flush()


class Connection(asyncio.Protocol):
    """Owns one WebSocket's transport."""

    __slots__ = (
        "_client",
        "_close_due",
        "_closing",
        "_end_timer",
        "_frames_since",
        "_heard_at",
        "_is_deaf",
        "_is_ending",
        "_is_flush_due",
        "_is_reading",
        "_is_working",
        "_limits",
        "_loop",
        "_message_since",
        "_paused_since",
        "_pending",
        "_pinged_at",
        "_pong_due",
        "_queue",
        "_queue_bytes",
        "_queue_messages",
        "_reader",
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
        self._reader = wire.FrameReader(limits.message_bytes_max, limits.frames_per_s)
        self._pending: list[bytes] = []
        self._is_working = False
        self._is_reading = True
        self._queue: list[Frame] = []
        self._queue_bytes = 0
        self._queue_messages = 0
        self._is_flush_due = False
        self._pong_due: bytes | None = None
        self._close_due: bytes | None = None
        self._closing: CloseCode | None = None
        self._is_ending = False
        self._is_deaf = False
        self._end_timer: asyncio.TimerHandle | None = None
        self._heard_at = self._frames_since = time.monotonic()
        self._message_since: float | None = None
        self._paused_since: float | None = None
        self._pinged_at: float | None = None
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
        self._end(wire.close_frame(code, code.reason))

    def abort(self) -> None:
        """Drop the transport: for a peer that is gone."""
        self._is_ending = True
        if self._transport is not None:
            self._transport.abort()

    def tick(self, now: float) -> None:
        """From time to time: ping the silent, close those that do not answer, read or finish."""
        limits = self._limits
        if self._is_ending:
            return
        if (
            self._paused_since is not None and now - self._paused_since > limits.write_within_s
        ) or (
            self._message_since is not None and now - self._message_since > limits.message_within_s
        ):
            self.close(CloseCode.SLOW)
        elif not self._is_reading:
            # It may have answered; it is us who do not listen until its commands are done.
            pass
        elif self._pinged_at is not None:
            if now - self._pinged_at > limits.pong_within_s:
                self.close(CloseCode.NO_PONG)
        elif now - self._heard_at > limits.ping_every_s:
            self._pinged_at = now
            self._write(wire.frame(Opcode.PING, b""))

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        # Any traffic counts as life.
        self._heard_at = time.monotonic()
        self._pinged_at = None
        if self._heard_at - self._frames_since >= 1:
            self._frames_since = self._heard_at
            self._reader.frames_left = self._limits.frames_per_s
        if not self._is_deaf:
            self._reader.feed(data)
            self._read()

    def eof_received(self) -> bool:
        self._end(b"")
        return False

    def pause_writing(self) -> None:
        self._paused_since = time.monotonic()

    def resume_writing(self) -> None:
        self._paused_since = None
        if self._is_ending:
            return
        if self._pong_due is not None:
            payload, self._pong_due = self._pong_due, None
            self._write(wire.frame(Opcode.PONG, payload))
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._is_ending = True
        self._transport = None
        if self._end_timer is not None:
            self._end_timer.cancel()
        self._queue.clear()
        if self._client is not None:
            self._client.left()

    # Reading.

    def _read(self) -> None:
        if self._is_deaf:
            return
        was_whole = False
        try:
            while is_room := len(self._pending) < self._limits.pending_messages_max:
                received = self._reader.next()
                if received is None:
                    break
                was_whole = True
                self._take_in(received)
                if self._is_deaf:
                    return
        except wire.Violation as violation:
            self._fail(violation.code, violation.reason)
        except wire.TooManyFrames:
            self.close(CloseCode.RATE_LIMITED)
            self._go_deaf()
        else:
            self._set_reading(is_room)
            if was_whole or self._message_since is None:
                is_partial = is_room and self._reader.is_in_message
                self._message_since = self._heard_at if is_partial else None

    def _take_in(self, received: wire.Received) -> None:
        match received.opcode:
            case Opcode.CLOSE:
                # 5.5.1: whatever follows is ignored.
                self._is_deaf = True
                self._close_due = received.payload[:2]
                if not self._is_working:
                    self._answer_close(self._close_due)
            case _ if self._is_ending:
                pass
            case Opcode.PING:
                self._pong(received.payload)
            case Opcode.PONG:
                pass
            case opcode if (opcode is Opcode.TEXT) == (self.encoding == "json"):
                if self._is_working:
                    self._pending.append(received.payload)
                elif (work := self._carry_out(received.payload)) is not None:
                    self._is_working = True
                    self._tasks.start(self._work(work), name="ws-worker")
            case _:
                self.close(CloseCode.BAD_REQUEST)

    def _carry_out(self, payload: bytes) -> Coroutine[Any, Any, None] | None:
        assert self._client is not None
        try:
            return self._client.receive(payload)
        except Exception:
            self._fail(FailCode.INTERNAL_ERROR, "internal error")
            raise

    async def _work(self, work: Coroutine[Any, Any, None] | None) -> None:
        try:
            while work is not None:
                await work
                work = None
                # What a client said before it left is still carried out.
                while work is None and self._pending and self._closing is None:
                    work = self._carry_out(self._pending.pop(0))
                    if not self._is_reading:
                        self._read()
        except Exception:
            self._fail(FailCode.INTERNAL_ERROR, "internal error")
            raise
        finally:
            self._is_working = False
            if self._close_due is not None:
                self._answer_close(self._close_due)

    def _set_reading(self, is_reading: bool) -> None:  # noqa: FBT001
        if is_reading is not self._is_reading and self._transport is not None:
            self._is_reading = is_reading
            if is_reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    # Writing.

    def _is_slow(self) -> bool:
        if self._slow_since is None:
            self._slow_since = time.monotonic()
        return (
            self._queue_bytes > self._limits.queue_bytes_max
            or time.monotonic() - self._slow_since > self._limits.slow_for_s
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
        if frame.framed is None:
            frame.framed = self._framed([frame])
        self._write(frame.framed)
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

    def _framed(self, frames: list[Frame]) -> bytes:
        opcode = Opcode.TEXT if self.encoding == "json" else Opcode.BINARY
        return wire.frame(opcode, join_frames(frames, self.encoding))

    def _pong(self, payload: bytes) -> None:
        if self._paused_since is None:
            self._write(wire.frame(Opcode.PONG, payload))
        else:
            # 5.5.3: of many pings the last may be answered alone.
            self._pong_due = payload

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    # Ending.

    def _fail(self, code: FailCode, reason: str) -> None:
        """RFC 6455, 7.1.7."""
        log.info("ws_failed", code=int(code), reason=reason)
        self._end(wire.close_frame(code, reason))
        self._go_deaf()

    def _answer_close(self, payload: bytes) -> None:
        """5.5.1: with its own code; if it is itself the answer to ours, that was all."""
        self._end(wire.frame(Opcode.CLOSE, payload))
        if self._transport is not None:
            self._transport.close()

    def _end(self, close_frame: bytes) -> None:
        """Write the last frame, once; from now on only the client's own is waited for, and not for long."""
        if self._is_ending:
            return
        self.flush()
        self._queue.clear()
        self._is_ending = True
        self._write(close_frame)
        self._set_reading(is_reading=True)
        if self._transport is not None:
            self._end_timer = self._loop.call_later(
                self._limits.close_within_s, self._transport.abort
            )

    def _go_deaf(self) -> None:
        """Discard what still comes, but let it come: closing on unread bytes resets, and the close frame may be lost."""
        self._is_deaf = True
        if self._transport is not None and self._transport.can_write_eof():
            self._transport.write_eof()
