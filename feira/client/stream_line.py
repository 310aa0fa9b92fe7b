"""The fallback's line: one endless answer to read, and a post for every frame that is said."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import msgspec

from feira.client.lines import FRAME_BYTES_MAX, Line

# The server sends a comment after 25 s of silence.
SILENCE_MAX_S: Final = 33.0
CONNECT_WITHIN_S: Final = 10.0
# The server gives up after 15 s and says so.
POST_WITHIN_S: Final = 20.0
ANSWER_WITHIN_S: Final = 15.0
POST_MESSAGES_MAX: Final = 64
POST_BYTES_MAX: Final = 64 * 1024
RETRY_MAX_S: Final = 5.0
# Carried to the stream over the bus, and answered on it.
OF_THE_STREAM: Final = frozenset({"subscribe", "unsubscribe", "typing", "refresh"})
# The same would be refused again.
_REFUSED: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE})

Token = Callable[[], Awaitable[str]]


class StreamLine(Line):
    """Posts follow one another, which keeps the order; one that fails is repeated, for what it says has keys."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        token: Token,
        answer: aiohttp.ClientResponse,
        answer_within_s: float,
    ) -> None:
        super().__init__()
        self._http = http
        self._url = url
        self._token = token
        self._answer = answer
        self._answer_within_s = answer_within_s
        self._stream_id = ""
        self._unposted: deque[tuple[dict[str, Any], bytes]] = deque()
        self._may_post = asyncio.Event()
        # From the stream and from posts; None is the end.
        self._arrived: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._failure: Exception | None = None
        self._overdue: dict[int, asyncio.TimerHandle] = {}

    async def send(self, message: dict[str, Any]) -> None:
        self._unposted.append((message, msgspec.json.encode(message)))
        self._wake()

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        while (message := await self._arrived.get()) is not None:
            yield message
        if self._failure is not None:
            raise self._failure

    def abort(self) -> None:
        self._end(ConnectionAbortedError("the stream was cut"))

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Read and post until the context ends."""
        work = [
            asyncio.create_task(self._until_it_ends(each), name=f"feira-client-{name}")
            for name, each in (("stream", self._read), ("posts", self._post_all))
        ]
        try:
            yield
        finally:
            for timer in self._overdue.values():
                timer.cancel()
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _until_it_ends(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - `messages` raises it where the line is read
            self._end(error)
        else:
            self._end(None)

    def _end(self, failure: Exception | None) -> None:
        self._failure = self._failure or failure
        self._arrived.put_nowait(None)

    # Down.

    async def _read(self) -> None:
        unread = b""
        async for chunk in self._answer.content.iter_any():
            *lines, unread = (unread + chunk).split(b"\n")
            if len(unread) > FRAME_BYTES_MAX:
                raise ConnectionError("the stream holds a line without an end")
            for line in lines:
                # Comments and the ends of events say nothing.
                if line.startswith(b"data: "):
                    self._take(_decode(line.removeprefix(b"data: ")))

    def _take(self, message: dict[str, Any]) -> None:
        if "stream" in message:
            self._stream_id = message["stream"]["id"]
            self._wake()
            return
        if "disconnect" in message:
            self.close_code = message["disconnect"]["code"]
        self._arrive(message)

    def _arrive(self, message: dict[str, Any]) -> None:
        timer = self._overdue.pop(message.get("id", -1), None)
        if timer is not None:
            timer.cancel()
        self._arrived.put_nowait(message)

    # Up.

    def _wake(self) -> None:
        if self._stream_id and self._unposted:
            self._may_post.set()

    async def _post_all(self) -> None:
        while True:
            await self._may_post.wait()
            messages, frame = self._next_frame()
            for message in messages:
                if "id" in message and _is_of_the_stream(message):
                    self._expect(message["id"])
            for answer in await self._post_until_answered(messages, frame):
                self._arrive(answer)

    def _next_frame(self) -> tuple[list[dict[str, Any]], bytes]:
        message, encoded = self._unposted.popleft()
        messages, lines, size = [message], [encoded], len(encoded)
        while self._unposted and len(lines) < POST_MESSAGES_MAX:
            size += 1 + len(self._unposted[0][1])
            if size > POST_BYTES_MAX:
                break
            message, encoded = self._unposted.popleft()
            messages.append(message)
            lines.append(encoded)
        if not self._unposted:
            self._may_post.clear()
        return messages, b"\n".join(lines)

    async def _post_until_answered(
        self, messages: list[dict[str, Any]], frame: bytes
    ) -> list[dict[str, Any]]:
        failures = 0
        while True:
            try:
                return await self._post(messages, frame)
            except aiohttp.ClientResponseError as error:
                if error.status == HTTPStatus.UNAUTHORIZED:
                    raise
            except (aiohttp.ClientError, OSError):
                # Whether it happened is not known.
                pass
            failures += 1
            await asyncio.sleep(random.uniform(0, min(RETRY_MAX_S, 0.1 * 2**failures)))  # noqa: S311

    async def _post(self, messages: list[dict[str, Any]], frame: bytes) -> list[dict[str, Any]]:
        async with self._http.post(
            f"{self._url}/commands",
            params={"stream": self._stream_id},
            data=frame,
            headers={"Authorization": f"Bearer {await self._token()}"},
            timeout=aiohttp.ClientTimeout(total=POST_WITHIN_S),
        ) as answer:
            if answer.status in _REFUSED:
                problem = _decode(await answer.read())
                error = {"code": problem["code"], "message": problem["detail"], "retryable": False}
                return [{"id": one["id"], "error": error} for one in messages if "id" in one]
            answer.raise_for_status()
            answers = [_decode(line) for line in (await answer.read()).splitlines()]
        missing = {one["id"] for one in messages if "id" in one and not _is_of_the_stream(one)}
        if missing - {one.get("id") for one in answers}:
            raise ConnectionError("not all was answered")
        return answers

    def _expect(self, identifier: int) -> None:
        """The bus may lose what is for the stream: a new one then says it all again."""
        loop = asyncio.get_running_loop()
        late = ConnectionError("the stream did not answer")
        self._overdue[identifier] = loop.call_later(self._answer_within_s, self._end, late)


def _is_of_the_stream(message: dict[str, Any]) -> bool:
    return not OF_THE_STREAM.isdisjoint(message)


def _decode(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ConnectionError(f"not the server's words: {line[:100]!r}") from error


@asynccontextmanager
async def open_stream(
    http: aiohttp.ClientSession,
    url: str,
    first: dict[str, Any],
    *,
    token: Token,
    answer_within_s: float = ANSWER_WITHIN_S,
) -> AsyncGenerator[Line]:
    """Post the first message; the answer to that is the stream."""
    async with http.post(
        f"{url}/stream",
        data=msgspec.json.encode(first),
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_WITHIN_S, sock_read=SILENCE_MAX_S
        ),
    ) as answer:
        answer.raise_for_status()
        if answer.content_type != "text/event-stream":
            raise ConnectionError(f"not a stream but {answer.content_type}")
        line = StreamLine(http, url, token, answer, answer_within_s)
        async with line.running():
            yield line
