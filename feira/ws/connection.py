"""One WebSocket after its handshake: a line whose bytes are RFC 6455's; it also notices silence.

open --close(code), or the client closes or breaks RFC 6455--> ending --it answers, or 2 s later--> lost
"""

from __future__ import annotations

import time

import structlog

from feira.actors.frames import Encoding, Frame
from feira.platform.runtime.tasks import TaskOwner
from feira.ws import metrics, wire
from feira.ws.close_codes import CloseCode
from feira.ws.limits import SocketLimits
from feira.ws.line import Line
from feira.ws.protocol import join_frames
from feira.ws.turn import Turn
from feira.ws.wire import FailCode, Opcode

log = structlog.get_logger("feira.ws")


class Connection(Line):
    """Owns one WebSocket's transport."""

    __slots__ = (
        "_close_due",
        "_frames_since",
        "_heard_at",
        "_is_deaf",
        "_is_reading",
        "_message_since",
        "_pinged_at",
        "_pong_due",
        "_reader",
    )

    def __init__(
        self, encoding: Encoding, limits: SocketLimits, tasks: TaskOwner, turn: Turn
    ) -> None:
        super().__init__(encoding, limits, tasks, turn)
        self._reader = wire.FrameReader(limits.message_bytes_max, limits.frames_per_s)
        self._is_reading = True
        self._pong_due: bytes | None = None
        self._close_due: bytes | None = None
        self._is_deaf = False
        self._heard_at = self._frames_since = time.monotonic()
        self._message_since: float | None = None
        self._pinged_at: float | None = None

    def tick(self, now: float) -> None:
        """From time to time: ping the silent, close those that do not answer, read or finish."""
        limits = self._limits
        if self._is_ending:
            return
        if self._is_stuck(now) or (
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

    def resume_writing(self) -> None:
        if self._pong_due is not None and not self._is_ending:
            payload, self._pong_due = self._pong_due, None
            self._write(wire.frame(Opcode.PONG, payload))
        super().resume_writing()

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
                self.take_message(received.payload)
            case _:
                self.close(CloseCode.BAD_REQUEST)

    def _worked(self) -> None:
        if not self._is_reading:
            self._read()

    def _worked_off(self) -> None:
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

    def _framed(self, frames: list[Frame]) -> bytes:
        opcode = Opcode.TEXT if self.encoding == "json" else Opcode.BINARY
        return wire.frame(opcode, join_frames(frames, self.encoding))

    def _framed_alone(self, frame: Frame) -> bytes:
        if frame.framed is None:
            frame.framed = self._framed([frame])
        return frame.framed

    def _last_words(self, code: CloseCode) -> bytes:
        return wire.close_frame(code, code.reason)

    def _pong(self, payload: bytes) -> None:
        if self._paused_since is None:
            self._write(wire.frame(Opcode.PONG, payload))
        else:
            # 5.5.3: of many pings the last may be answered alone.
            self._pong_due = payload

    # Ending.

    def _failed(self) -> None:
        self._fail(FailCode.INTERNAL_ERROR, "internal error")

    def _fail(self, code: FailCode, reason: str) -> None:
        """RFC 6455, 7.1.7."""
        log.info("ws_failed", code=int(code), reason=reason)
        metrics.CLOSED.labels(str(int(code))).inc()
        self._end(wire.close_frame(code, reason))
        self._go_deaf()

    def _answer_close(self, payload: bytes) -> None:
        """5.5.1: with its own code; if it is itself the answer to ours, that was all."""
        self._end(wire.frame(Opcode.CLOSE, payload))
        if self._transport is not None:
            self._transport.close()

    def _end(self, last_words: bytes) -> None:
        if not self._is_ending:
            super()._end(last_words)
            self._set_reading(is_reading=True)

    def _go_deaf(self) -> None:
        """Discard what still comes, but let it come: closing on unread bytes resets, and the close frame may be lost."""
        self._is_deaf = True
        if self._transport is not None and self._transport.can_write_eof():
            self._transport.write_eof()
