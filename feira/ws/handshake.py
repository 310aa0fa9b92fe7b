"""The opening handshake (RFC 6455, 4.2), and taking the connection over from aiohttp."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from typing import Any, Final, cast

from aiohttp import web

from feira.actors.frames import Encoding
from feira.platform.domain.errors import InvalidInput
from feira.ws.protocol import DEFAULT_SUBPROTOCOL, SUBPROTOCOLS

_ACCEPT_SUFFIX: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION: Final = "13"
_KEY_BYTES: Final = 16


def accept(request: web.Request) -> tuple[web.StreamResponse, Encoding]:
    """Check a client's handshake; returns the answer, not sent yet, and how its messages are encoded.

    Raises:
        InvalidInput: it is none.
        web.HTTPUpgradeRequired: it is for another version of the protocol.
    """
    if not (
        _has(request, "Upgrade", "websocket")
        and _has(request, "Connection", "upgrade")
        and request.version >= (1, 1)
    ):
        raise InvalidInput("socket.upgrade_required", "Open this address as a WebSocket.")
    if request.headers.get("Sec-WebSocket-Version") != _VERSION:
        # 4.4: the answer names the versions that would do.
        raise web.HTTPUpgradeRequired(
            headers={"Upgrade": "websocket", "Sec-WebSocket-Version": _VERSION}
        )
    key = request.headers.get("Sec-WebSocket-Key", "").strip()
    if not _is_key(key) or request.can_read_body:
        raise InvalidInput("socket.bad_handshake", "This is no WebSocket handshake.")
    answer = web.StreamResponse(
        status=101,
        headers={
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": _accept_value(key),
        },
    )
    wanted = (name for name in _tokens(request, "Sec-WebSocket-Protocol") if name in SUBPROTOCOLS)
    chosen = next(wanted, None)
    if chosen is not None:
        answer.headers["Sec-WebSocket-Protocol"] = chosen
    return answer, SUBPROTOCOLS[chosen or DEFAULT_SUBPROTOCOL]


def take_over(request: web.Request, protocol: asyncio.Protocol) -> None:
    """Give the connection to `protocol` for good. To aiohttp it is lost, so that nothing of the request is kept.

    Call this when the answer is written. Raises ConnectionResetError if the client is gone already.
    """
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("gone during the handshake")
    early = _EarlyBytes()
    handler = request.protocol
    # Typed for aiohttp's own reader, of which this is all that is used.
    handler.set_parser(cast("Any", early))
    transport.set_protocol(protocol)
    # Else it would close the transport.
    handler.transport = None
    handler.connection_lost(None)
    protocol.connection_made(transport)
    if not transport.is_reading():
        transport.resume_reading()
    if early.data:
        protocol.data_received(early.data)


class _EarlyBytes:
    """Takes what came in one piece with the handshake, or right after it."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        pass


def _tokens(request: web.Request, name: str) -> list[str]:
    return [
        token.strip()
        for line in request.headers.getall(name, ())
        for token in line.split(",")
        if token.strip()
    ]


def _has(request: web.Request, name: str, token: str) -> bool:
    return token in (given.lower() for given in _tokens(request, name))


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _accept_value(key: str) -> str:
    digest = hashlib.sha1(key.encode() + _ACCEPT_SUFFIX, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()
