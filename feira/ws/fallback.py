"""The socket for clients behind proxies that refuse WebSockets: what is pushed streams, what is said is posted.

    POST /v1/socket/stream      the first frame, with `connect`; the answer never ends (`event_stream`)
    POST /v1/socket/commands    any further frame; the answer holds the answers

A post may reach another node than the stream. Whatever means the same everywhere is carried out where it arrives, so
that it needs neither the stream nor the bus. What is about the stream itself goes to it over the bus, and is
answered on it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from uuid import UUID

from aiohttp import web

from feira.actors.frames import Frame, encode_message
from feira.platform.domain.errors import (
    FeiraError,
    InvalidInput,
    NotSignedIn,
    TooLarge,
    Unavailable,
)
from feira.platform.domain.permissions import Principal
from feira.platform.runtime.client import origin_of
from feira.services.users.authentication import authenticate, bearer_token
from feira.ws import metrics
from feira.ws.commands import Commands, rate_limited
from feira.ws.event_stream import HEADERS, EventStream
from feira.ws.handshake import take_over
from feira.ws.messages import StreamOpened
from feira.ws.protocol import Incoming, MalformedFrame, decode_frame, join_frames

if TYPE_CHECKING:
    from feira.ws.server import SocketServer

ANSWER_WITHIN_S: Final = 15.0
# About what a stream watches and how long, and so its own business.
OF_THE_STREAM: Final = frozenset({"subscribe", "unsubscribe", "typing", "refresh"})


async def open_stream(server: SocketServer, request: web.Request) -> web.StreamResponse:
    """Answer with a stream; what is said on it no longer concerns aiohttp."""
    server.require_room()
    if request.version < (1, 1):
        raise InvalidInput("socket.http_too_old", "A stream needs HTTP/1.1.")
    first = await _read_frame(server, request)
    line = EventStream(server.limits, server.tasks, server.turn)
    answer = web.StreamResponse(headers=HEADERS)
    answer.enable_chunked_encoding()
    answer.force_close()
    await answer.prepare(request)
    hello = encode_message({"stream": StreamOpened(id=line.stream_id)}, "json")
    try:
        await answer.write(b"data: " + hello.data + b"\n\n")
        server.open(line, origin_of(request))
        take_over(request, line)
    except ConnectionError:
        # The client is gone; aiohttp finds out the same way.
        line.connection_lost(None)
        return answer
    line.take_message(first)
    return answer


async def carry_out(server: SocketServer, request: web.Request) -> web.Response:
    """Carry out a frame of commands and answer with the answers of all that have an id, or failed."""
    token = bearer_token(request.headers.get("Authorization"))
    if token is None:
        raise NotSignedIn(
            "auth.required", "Send the access token as `Authorization: Bearer TOKEN`."
        )
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            principal = (await authenticate(server.market, token, origin_of(request))).principal
            post = _Post(server, principal, _stream_of(request))
            try:
                incoming = decode_frame(await _read_frame(server, request), "json")
            except MalformedFrame as error:
                raise InvalidInput(
                    "request.malformed_json", f"The body is {error}.", field="$"
                ) from error
            for message in incoming:
                await post.handle(message)
            await post.commands.settled()
    except TimeoutError as error:
        raise Unavailable(
            "request.timed_out",
            "This took too long and its outcome is unknown; repeat it with the same ids.",
            retry_after_s=2,
        ) from error
    return web.Response(body=join_frames(post.answers, "json"), content_type="application/x-ndjson")


class _Post:
    """One frame that came by a request of its own, and its answers."""

    def __init__(self, server: SocketServer, principal: Principal, stream: UUID | None) -> None:
        self._server = server
        self._principal = principal
        self._stream = stream
        self.answers: list[Frame] = []
        self.commands = Commands(
            server.market, server.node, encoding="json", push=self.answers.append
        )

    async def handle(self, message: Incoming) -> None:
        bucket = self._server.rates.of(self._principal.user_id)
        if not bucket.take():
            self.commands.refuse(message.id, rate_limited(bucket))
            return
        metrics.commands(message.name or "malformed").inc()
        try:
            if message.name in OF_THE_STREAM:
                self._forward(message)
            elif message.name == "connect":
                raise InvalidInput(
                    "socket.connect_opens_a_stream", "Post connect to /v1/socket/stream."
                )
            else:
                await self.commands.carry_out(self._principal, message)
        except FeiraError as error:
            self.commands.refuse(message.id, error)

    def _forward(self, message: Incoming) -> None:
        if self._stream is None:
            raise InvalidInput(
                "socket.stream_required",
                f"Name the stream that {message.name} is for: /v1/socket/commands?stream=ID.",
            )
        named = {} if message.id is None else {"id": message.id}
        frame = encode_message({**named, message.name: message.command}, "json")
        self._server.node.forward(self._principal, self._stream, frame.data)


def _stream_of(request: web.Request) -> UUID | None:
    given = request.query.get("stream")
    if given is None:
        return None
    try:
        return UUID(given)
    except ValueError as error:
        raise InvalidInput(
            "socket.stream_malformed",
            "`stream` is the id that the stream began with.",
            field="stream",
        ) from error


async def _read_frame(server: SocketServer, request: web.Request) -> bytes:
    limits, frame = server.limits, b""
    try:
        async with asyncio.timeout(limits.message_within_s):
            while chunk := await request.content.readany():
                frame += chunk
                if len(frame) > limits.message_bytes_max:
                    raise TooLarge(
                        "request.too_large",
                        f"The body is over the limit of {limits.message_bytes_max:,} bytes.",
                    )
    except web.RequestPayloadError as error:
        raise InvalidInput(
            "request.malformed_body", "The body is not what its framing says it is."
        ) from error
    except TimeoutError as error:
        raise InvalidInput("request.body_late", "The body did not come in time.") from error
    return frame
