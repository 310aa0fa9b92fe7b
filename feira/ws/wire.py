"""RFC 6455 as a server sees it, without I/O: bytes of a client in, messages and control frames out; frames for it.

Strict where the RFC says MUST. What arrives broken ends the connection with the code that the RFC names (7.4.1).
"""

from __future__ import annotations

import codecs
from enum import IntEnum
from typing import Final, NamedTuple

_CONTROL: Final = 0x8
_HEAD_BYTES: Final = 2
_MASK_BYTES: Final = 4
# Up to here the length stands in the head's second byte; longer ones follow in 2 or 8 bytes.
_SHORT_MAX: Final = 125
_TWO_BYTES_MAX: Final = 2**16 - 1
_MASKED: Final = 0x80
_FIN: Final = 0x80
_RESERVED: Final = 0x70
# 7.4.1 and the registry made by 11.7: 1004 to 1006 and 1015 are never sent.
_SENDABLE: Final = (range(1000, 1004), range(1007, 1015), range(3000, 5000))


class Opcode(IntEnum):
    """RFC 6455, 5.2; all others are reserved."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


_OPCODES: Final = {int(opcode): opcode for opcode in Opcode}


class FailCode(IntEnum):
    """RFC 6455, 7.4.1: why a connection is failed below the protocol of Feira."""

    PROTOCOL_ERROR = 1002
    INVALID_TEXT = 1007
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011


class Violation(Exception):
    """The client broke RFC 6455; nothing that it sends afterwards can be trusted."""

    def __init__(self, code: FailCode, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class TooManyFrames(Exception):
    """More frames than `FrameReader.frames_left` allowed."""


class Received(NamedTuple):
    """A whole message, with its fragments joined, or a control frame; its payload is unmasked."""

    opcode: Opcode
    payload: bytes


class FrameReader:
    """Cuts the bytes of one client into messages and control frames. At most one incomplete message is kept."""

    __slots__ = (
        "_at",
        "_buffer",
        "_decoder",
        "_message",
        "_message_bytes_max",
        "_message_opcode",
        "frames_left",
    )

    def __init__(self, message_bytes_max: int, frames_left: int) -> None:
        self._message_bytes_max = message_bytes_max
        self.frames_left = frames_left
        """How many more may come; the owner renews it. A message may consist of any number, empty ones too."""
        self._buffer: bytes | bytearray = b""
        self._at = 0
        self._message: bytearray | None = None
        self._message_opcode = Opcode.CONTINUATION
        self._decoder: codecs.IncrementalDecoder | None = None

    @property
    def is_in_message(self) -> bool:
        """Whether the client began something that it has not finished."""
        return self._message is not None or len(self._buffer) > self._at

    def feed(self, data: bytes) -> None:
        """Take in what arrived; `next` gives it out."""
        if self._at == len(self._buffer):
            # The usual case: whole frames, and nothing is copied.
            self._buffer, self._at = data, 0
            return
        if isinstance(self._buffer, bytes):
            self._buffer = bytearray(self._buffer[self._at :])
        elif self._at:
            del self._buffer[: self._at]
        self._at = 0
        self._buffer += data

    def next(self) -> Received | None:
        """The next message or control frame; None until more arrives.

        Raises:
            Violation: the bytes are not what RFC 6455 allows a client to send. Do not call again.
            TooManyFrames: `frames_left` is used up. Do not call again.
        """
        while True:
            frame = self._next_frame()
            if frame is None:
                return None
            if self.frames_left <= 0:
                raise TooManyFrames
            self.frames_left -= 1
            fin, opcode, payload = frame
            if opcode is Opcode.CLOSE:
                _check_close(payload)
            if opcode >= _CONTROL:
                return Received(opcode, payload)
            message = self._join(fin, opcode, payload)
            if message is not None:
                return message

    def _next_frame(self) -> tuple[bool, Opcode, bytes] | None:
        buffer, at = self._buffer, self._at
        held = len(buffer) - at
        if not held:
            # Not kept while the client is silent.
            self._buffer, self._at = b"", 0
        if held < _HEAD_BYTES:
            return None
        first, second = buffer[at], buffer[at + 1]
        opcode = _check_head(first, second)
        start, length = at + _HEAD_BYTES, second & 0x7F
        if length > _SHORT_MAX:
            start += 2 if length == _SHORT_MAX + 1 else 8
            if len(buffer) < start:
                return None
            length = _long_length(buffer[at + _HEAD_BYTES : start])
        if opcode < _CONTROL:
            self._check_order_and_size(opcode, length)
        mask_at, start = start, start + _MASK_BYTES
        end = start + length
        if len(buffer) < end:
            return None
        self._at = end
        return (
            first >= _FIN,
            opcode,
            _unmask(bytes(buffer[start:end]), bytes(buffer[mask_at:start])),
        )

    def _check_order_and_size(self, opcode: Opcode, length: int) -> None:
        # 5.4: fragments of one message are not mixed with those of another.
        if (opcode is Opcode.CONTINUATION) != (self._message is not None):
            raise Violation(FailCode.PROTOCOL_ERROR, "fragments out of order")
        # Known from its header, before anything of it is kept.
        if length + len(self._message or b"") > self._message_bytes_max:
            raise Violation(FailCode.TOO_BIG, "message too big")

    def _join(self, fin: bool, opcode: Opcode, payload: bytes) -> Received | None:  # noqa: FBT001
        if fin and self._message is None:
            if opcode is Opcode.TEXT and not payload.isascii():
                _check_text(payload)
            return Received(opcode, payload)
        if self._message is None:
            self._message, self._message_opcode = bytearray(), opcode
            if opcode is Opcode.TEXT:
                self._decoder = codecs.getincrementaldecoder("utf-8")()
        if self._decoder is not None:
            # 8.1: a fragment may end inside a character, the message may not.
            try:
                self._decoder.decode(payload, final=fin)
            except UnicodeDecodeError as error:
                raise Violation(FailCode.INVALID_TEXT, "not UTF-8") from error
        self._message += payload
        if not fin:
            return None
        message = Received(self._message_opcode, bytes(self._message))
        self._message = self._decoder = None
        return message


def _check_head(first: int, second: int) -> Opcode:
    opcode = _OPCODES.get(first & 0x0F)
    if opcode is None:
        raise Violation(FailCode.PROTOCOL_ERROR, "reserved opcode")
    if first & _RESERVED:
        # 5.2: no extension was negotiated that would give them a meaning.
        raise Violation(FailCode.PROTOCOL_ERROR, "reserved bits")
    if not second & _MASKED:
        # 5.1: a server must not accept it.
        raise Violation(FailCode.PROTOCOL_ERROR, "unmasked frame")
    if opcode >= _CONTROL and (first < _FIN or second & 0x7F > _SHORT_MAX):
        # 5.5
        raise Violation(FailCode.PROTOCOL_ERROR, "fragmented or long control frame")
    return opcode


def _long_length(data: bytes | bytearray) -> int:
    length = int.from_bytes(data, "big")
    # 5.2: the shortest form is the only one, and the most significant bit of the longest is 0.
    if length <= (_SHORT_MAX if len(data) == 2 else _TWO_BYTES_MAX) or length >= 2**63:  # noqa: PLR2004
        raise Violation(FailCode.PROTOCOL_ERROR, "wrong length")
    return length


def _unmask(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def _check_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        raise Violation(FailCode.INVALID_TEXT, "not UTF-8") from error


def _check_close(payload: bytes) -> None:
    """5.5.1 and 7.4: nothing, or a code that may be sent and a reason."""
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not any(code in codes for codes in _SENDABLE):
        raise Violation(FailCode.PROTOCOL_ERROR, "invalid close frame")
    _check_text(payload[2:])


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """One unfragmented, unmasked frame for a client."""
    size = len(payload)
    if size <= _SHORT_MAX:
        return bytes((_FIN | opcode, size)) + payload
    if size <= _TWO_BYTES_MAX:
        return bytes((_FIN | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_FIN | opcode, 127)) + size.to_bytes(8, "big") + payload


def close_frame(code: int, reason: str) -> bytes:
    return frame(Opcode.CLOSE, code.to_bytes(2, "big") + reason.encode())
