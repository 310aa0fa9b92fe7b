r"""A socket that keeps the protocol's promises for its user, whatever the connection does in between.

    closed --start--> connecting --connect answered--> open --lost--> waiting --> connecting
                          \--final close code, or no token to be had--> ended

Every event of a watched topic is handed over in order and once. A message that was accepted by `send` is sent
again after a reconnect, with the same client id and before newer ones, until it is acknowledged.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from feira.client.api import ApiProblem
from feira.client.commands import Commands
from feira.client.lines import Encoding, Line, Transport, Way, open_websocket
from feira.client.outbox import Outbox, jittered
from feira.client.problems import SocketEnded, SocketProblem
from feira.client.stream_line import open_stream
from feira.client.topic_log import OnEvent, OnGap, TopicLog

BACKOFF_MIN_S: Final = 0.1
BACKOFF_MAX_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 15.0
HEARTBEAT_S: Final = 20.0
# From the handshake to the answer to `connect`.
CONNECT_TIMEOUT_S: Final = 10.0
# ApiClient renews its own tokens earlier, so this finds a new one.
RENEW_BEFORE_S: Final = 30.0
# The server takes so many in one `connect`.
RESUME_TOPICS_MAX: Final = 200

OnPush = Callable[[str, dict[str, Any]], None]


class SocketClient(Commands):
    """`token()` gives an access token that is good for a while; `on_push(name, body)` gets what has no number.

    `transport`: "auto" takes the stream and posts of docs/socket.md where WebSockets do not open, "http" always.
    The stream is always JSON.
    """

    def __init__(
        self,
        url: str,
        http: aiohttp.ClientSession,
        token: Callable[[], Awaitable[str]],
        *,
        encoding: Encoding = "json",
        transport: Transport = "auto",
        on_push: OnPush | None = None,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self._url = url.rstrip("/") + "/v1/socket"
        self._http = http
        self._token = token
        self._encoding: Encoding = encoding
        self._on_push = on_push
        self._heartbeat_s = heartbeat_s
        self._ids = itertools.count(1)
        self._watches: dict[str, TopicLog] = {}
        self._outbox = Outbox(lambda: next(self._ids), self._transmit)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._way = Way(transport)
        self._line: Line | None = None
        # Also set when the client has ended, so that nobody waits for a connection that never comes.
        self._opened = asyncio.Event()
        self._ended: SocketEnded | None = None
        self._connection = 0
        self._connecting: asyncio.Timeout | None = None
        self._retry_ms: tuple[int, int] | None = None
        self._running: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self.reconnects = 0
        self.epoch = ""
        """The epoch of the server's logs, once anything was watched: with seq 0 it asks for a log from its start."""
        self.close_code: int | None = None

    async def start(self) -> None:
        """Connect and stay connected until `close`; returns when the first connection stands.

        Raises:
            SocketEnded: refused for good.
        """
        assert self._running is None, "a client starts once"
        self._running = asyncio.create_task(self._run(), name="feira-client-socket")
        await self._until_open()

    async def wait_ended(self) -> SocketEnded:
        """Wait until the client has ended for good; returns why."""
        assert self._running is not None, "start it first"
        await asyncio.wait([self._running])
        assert self._ended is not None, "it says why before it ends"
        return self._ended

    async def close(self) -> None:
        """Leave. What was not acknowledged is given up: whoever waits for it gets `SocketEnded`."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        self._end(SocketEnded("client.closed", "the client left"))

    @property
    def is_open(self) -> bool:
        """Whether a connection stands; without one, commands wait in the outbox."""
        return self._opened.is_set() and self._ended is None

    @property
    def unsent(self) -> int:
        """How many commands are not acknowledged yet."""
        return len(self._outbox)

    @property
    def is_websocket(self) -> bool:
        """Whether the present or last connection is a WebSocket, and not the stream that takes its place."""
        return self._way.is_websocket

    def drop(self) -> None:
        """Cut the connection as a bad network would; the client reconnects by itself."""
        if self._line is not None:
            self._line.abort()

    async def watch(
        self,
        topic: str,
        on_event: OnEvent,
        *,
        position: tuple[int, str] | None = None,
        on_gap: OnGap = lambda _seq: None,
    ) -> dict[str, Any]:
        """Watch a topic from a position `(seq, epoch)` or from now on; returns the topic's state.

        `on_gap(seq)`: too much was missed to replay; load the object over REST, events go on after `seq`.

        Raises:
            SocketProblem: not there, or not allowed.
        """
        watch = TopicLog(topic, on_event, on_gap, position)
        self._watches[topic] = watch
        while True:
            try:
                await self._subscribe(watch)
            except SocketProblem as problem:
                if not problem.retryable:
                    self._watches.pop(topic, None)
                    raise
                await asyncio.sleep(jittered(problem.retry_after_s))
            else:
                return watch.state

    async def unwatch(self, topic: str) -> None:
        """Stop watching."""
        if self._watches.pop(topic, None) is not None and self.is_open:
            await self._transmit({"unsubscribe": {"topic": topic}})

    async def typing(self, topic: str) -> None:
        """Tell that one is typing; worth nothing later, so it is not repeated."""
        if self.is_open:
            await self._transmit({"typing": {"topic": topic}})

    # The connection.

    async def _run(self) -> None:
        failures = 0
        while True:
            connection = self._connection
            try:
                await self._connect_and_read()
            except aiohttp.ClientConnectorError:
                self._way.nobody_there()
            except (aiohttp.ClientError, OSError):
                # No way to the server, or none any more.
                pass
            except ApiProblem as problem:
                if not problem.retryable:
                    self._end(SocketEnded(problem.code, f"there is no token: {problem}"))
                    return
            except Exception as error:  # noqa: BLE001 - whatever a callback raises ends the client, and is told as its cause
                ended = SocketEnded("client.failed", f"{type(error).__name__}: {error}")
                ended.__cause__ = error
                self._end(ended)
                return
            finally:
                if self._ended is None:
                    self._opened.clear()
                self._outbox.lost()
                self._line = None
                self._fail_answers()
            code = self.close_code
            if code is not None and not _is_worth_retrying(code):
                self._end(SocketEnded("socket.closed", f"closed for good with {code}", code))
                return
            # A server that takes connections and closes them unanswered is not asked more often than one that is away.
            failures = 0 if self._connection > connection else failures + 1
            self.reconnects += 1
            await asyncio.sleep(self._pause_s(failures))

    def _end(self, ended: SocketEnded) -> None:
        """For good: whoever waits, or comes later, learns why."""
        if self._ended is None:
            self._ended = ended
            self._opened.set()
            self._outbox.end(ended)

    async def _until_open(self) -> None:
        await self._opened.wait()
        if self._ended is not None:
            raise self._ended

    async def _connect_and_read(self) -> None:
        self.close_code = None
        token = await self._token()
        seen = [watch for watch in self._watches.values() if watch.position]
        resume = {watch.topic: watch.position for watch in seen[:RESUME_TOPICS_MAX]}
        async with (
            asyncio.timeout(CONNECT_TIMEOUT_S) as self._connecting,
            self._new_line({"id": 0, "connect": {"token": token, "resume": resume}}) as line,
        ):
            self._line = line
            try:
                async for message in line.messages():
                    await self._receive(message)
            finally:
                if self._renewing is not None:
                    self._renewing.cancel()
            self.close_code = line.close_code

    def _new_line(self, first: dict[str, Any]) -> AbstractAsyncContextManager[Line]:
        if self._way.choose():
            return open_websocket(
                self._http,
                self._url,
                first,
                encoding=self._encoding,
                heartbeat_s=self._heartbeat_s,
            )
        return open_stream(self._http, self._url, first, token=self._token)

    async def _transmit(self, message: dict[str, Any]) -> None:
        if self._line is not None:
            await self._line.send(message)

    async def _receive(self, message: dict[str, Any]) -> None:
        if "event" in message:
            await self._take(message["event"])
        elif "connect" in message:
            await self._opened_again(message["connect"])
        elif "disconnect" in message:
            low, high = message["disconnect"].get("retry_ms") or (0, 0)
            self._retry_ms = (low, high) if high else None
        elif message.get("unsubscribed", {}).get("reason") == "resync":
            watch = self._watches.get(message["unsubscribed"]["topic"])
            if watch is not None:
                await self._repair(watch)
        elif "id" in message:
            await self._answered(message)
        else:
            self._pushed(message)

    def _pushed(self, message: dict[str, Any]) -> None:
        if "unsubscribed" in message:
            # The right is gone; asking again would not bring it back.
            self._watches.pop(message["unsubscribed"]["topic"], None)
        if self._on_push is not None:
            for name, body in message.items():
                self._on_push(name, body)

    async def _opened_again(self, connect: dict[str, Any]) -> None:
        assert self._connecting is not None, "it is connecting"
        self._connecting.reschedule(None)
        for topic, subscription in connect["topics"].items():
            watch = self._watches.get(topic)
            if watch is not None and "error" not in subscription:
                await self._resumed(watch, subscription)
        # What one `connect` does not take, and what was never answered.
        for watch in self._watches.values():
            if watch.topic not in connect["topics"]:
                await self._repair(watch)
        self._connection += 1
        self._way.opened()
        await self._outbox.opened(self._connection)
        self._opened.set()
        expires_at = datetime.fromisoformat(connect["expires_at"])
        self._renewing = asyncio.create_task(self._renew(expires_at), name="feira-client-renewal")

    async def _renew(self, expires_at: datetime) -> None:
        """Hand in newer tokens while the connection stands, so that it outlives the one it began with."""
        while True:
            left_s = (expires_at - datetime.now(UTC)).total_seconds()
            await asyncio.sleep(max(1.0, left_s - RENEW_BEFORE_S))
            try:
                answer = await self.ask_durably("refresh", {"token": await self._token()})
            except (ApiProblem, SocketProblem, aiohttp.ClientError, OSError):
                # The server ends the socket when the token is long over; the next connect has a new one.
                return
            expires_at = datetime.fromisoformat(answer["expires_at"])

    async def _take(self, event: dict[str, Any]) -> None:
        watch = self._watches.get(event["topic"])
        if watch is not None and not watch.take(event):
            # Pushes overtook an answer, or were lost on the way: the log has them.
            await self._repair(watch)

    async def _repair(self, watch: TopicLog) -> None:
        await self._transmit(self._subscription(watch, next(self._ids)))

    async def _resumed(self, watch: TopicLog, subscription: dict[str, Any]) -> None:
        if not watch.subscribed(subscription):
            await self._repair(watch)
        self.epoch = watch.epoch

    # Commands.

    async def _subscribe(self, watch: TopicLog) -> None:
        identifier = next(self._ids)
        answer = await self._answer_to(identifier, self._subscription(watch, identifier))
        if "subscribe" not in answer:
            raise SocketProblem(answer["error"])

    def _subscription(self, watch: TopicLog, identifier: int) -> dict[str, Any]:
        return {"id": identifier, "subscribe": {"topic": watch.topic, **watch.position}}

    async def _answer_to(self, identifier: int, message: dict[str, Any]) -> dict[str, Any]:
        await self._until_open()
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[identifier] = answer
        try:
            await self._transmit(message)
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await answer
        except TimeoutError:
            raise SocketProblem(
                {"code": "socket.no_answer", "message": "no answer in time", "retryable": True}
            ) from None
        finally:
            self._answers.pop(identifier, None)

    async def ask_durably(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a command until it is answered, on however many connections, and return what its `ok` says.

        Raises:
            SocketProblem: refused for good, or too much is unsent (`client.outbox_full`).
            SocketEnded: the client has ended; whether the command happened is not known.
        """
        return await self._outbox.ask(name, body)

    async def _answered(self, message: dict[str, Any]) -> None:
        if "subscribe" in message:
            watch = self._watches.get(message["subscribe"]["topic"])
            if watch is not None:
                await self._resumed(watch, message["subscribe"])
        answer = self._answers.get(message["id"])
        if not self._outbox.answered(message) and answer is not None and not answer.done():
            answer.set_result(message)

    def _fail_answers(self) -> None:
        lost = {
            "error": {
                "code": "socket.lost",
                "message": "the connection was lost",
                "retryable": True,
            }
        }
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result(lost)

    def _pause_s(self, failures: int) -> float:
        if self._retry_ms is not None:
            low, high = self._retry_ms
            self._retry_ms = None
            return random.uniform(low, high) / 1000  # noqa: S311
        return random.uniform(0, min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(failures, 10)))  # noqa: S311


def _is_worth_retrying(code: int) -> bool:
    return code < 3000 or 3000 <= code < 3500 or 4000 <= code < 4500  # noqa: PLR2004 - the catalogue's ranges
