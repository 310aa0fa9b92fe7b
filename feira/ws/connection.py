"""One socket's writing: a byte-counted queue, coalesced frames, a bounded end.

    open --close(code)--> closing --written, or 2 s later--> closed (transport aborted if need be)

Pushing never blocks and never raises: whoever fans out to a thousand sockets must not wait for one. What is pushed
in one turn of the loop leaves in one write at its end, without a task; only while the transport is full does one
wait for it. A client that does not read is closed; it pays alone for it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog
from aiohttp import WSMsgType, web
from aiohttp.http import WebSocketWriter

from feira.actors.frames import Encoding, Frame, encode_message
from feira.platform.runtime.tasks import TaskOwner
from feira.ws import metrics
from feira.ws.close_codes import CloseCode
from feira.ws.protocol import encode_data_frame, join_frames

log = structlog.get_logger("feira.ws")

QUEUE_BYTES_MAX: Final = 1024 * 1024
QUEUE_MESSAGES_SLOW: Final = 1_024
SLOW_FOR_S: Final = 5.0
FRAME_BYTES_AIM: Final = 64 * 1024
WRITE_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 2.0


class Connection:
    """Owns all writing to one WebSocket."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        request: web.Request,
        encoding: Encoding,
        tasks: TaskOwner,
    ) -> None:
        self.encoding: Final = encoding
        self._socket = socket
        self._transport = request.transport
        self._protocol = request.protocol
        self._loop = asyncio.get_running_loop()
        self._tasks = tasks
        self._queue: list[Frame] = []
        self._queue_bytes = 0
        self._queue_messages = 0
        self._slow_since: float | None = None
        self._flush_is_due = False
        self._closing: CloseCode | None = None

    @property
    def is_open(self) -> bool:
        return self._closing is None and not self._socket.closed

    def push(self, frame: Frame) -> None:
        """Queue messages. What is queued by the end of this turn of the loop leaves in one write."""
        if not self.is_open:
            return
        self._queue.append(frame)
        self._queue_bytes += len(frame.data)
        self._queue_messages += frame.messages
        if self._queue_bytes > QUEUE_BYTES_MAX or self._is_slow():
            metrics.SLOW_CLIENTS.inc()
            self.close(CloseCode.SLOW)
            return
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)

    def close(self, code: CloseCode, *, retry_ms: tuple[int, int] | None = None) -> None:
        """Say why and end, whether or not the client listens; `retry_ms` asks it back in that window."""
        if self._closing is not None:
            return
        self._closing = code
        goodbye: dict[str, object] = {"code": int(code), "reason": code.reason}
        if retry_ms is not None:
            goodbye["retry_ms"] = retry_ms
        if code is CloseCode.SLOW:
            # It does not read anyway; what it missed it resumes.
            self._queue.clear()
        self._queue.append(encode_message({"disconnect": goodbye}, self.encoding))
        metrics.CLOSED.labels(str(int(code))).inc()
        self._tasks.start(self._end(code), name="ws-closer")

    async def pong(self, payload: bytes) -> None:
        await self._control(WSMsgType.PONG, payload)

    async def ping(self) -> None:
        await self._control(WSMsgType.PING, b"")

    async def _control(self, kind: WSMsgType, payload: bytes) -> None:
        writer = self._writer
        if not self.is_open or writer is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await writer.send_frame(payload, kind)
        except (ConnectionError, TimeoutError):
            self.abort()

    def abort(self) -> None:
        """Drop the transport: for a peer that is gone or does not read."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def _writer(self) -> WebSocketWriter | None:
        # aiohttp offers text only as str; the frames here are encoded already.
        return self._socket._writer  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    def _is_slow(self) -> bool:
        if self._queue_messages <= QUEUE_MESSAGES_SLOW:
            self._slow_since = None
            return False
        if self._slow_since is None:
            self._slow_since = time.monotonic()
        return time.monotonic() - self._slow_since > SLOW_FOR_S

    def _flush(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        while self._queue and self.is_open:
            if self._protocol.writing_paused:
                self._tasks.start(self._write_when_drained(), name="ws-writer")
                return
            transport.write(
                encode_data_frame(join_frames(self._take(), self.encoding), self.encoding)
            )
            metrics.FRAMES_WRITTEN.inc()
        self._flush_is_due = False

    async def _write_when_drained(self) -> None:
        try:
            while self._queue and self.is_open:
                await self._write(self._take())
        except (ConnectionError, TimeoutError):
            # A reset, or a stalled peer: its reader sees the end of the connection.
            self.abort()
        finally:
            self._flush_is_due = False

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
        return frames

    async def _write(self, frames: list[Frame]) -> None:
        writer = self._writer
        if writer is None:
            return
        kind = WSMsgType.TEXT if self.encoding == "json" else WSMsgType.BINARY
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await writer.send_frame(join_frames(frames, self.encoding), kind)
        metrics.FRAMES_WRITTEN.inc()

    async def _end(self, code: CloseCode) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                frames, self._queue = self._queue, []
                await self._write(frames)
                await self._socket.close(code=code, message=code.reason.encode())
        except (ConnectionError, TimeoutError, RuntimeError):
            # aiohttp waits for a stalled peer's drain or close frame without end; this connection does not.
            log.debug("ws_close_cut_short", code=int(code))
        finally:
            self.abort()
