"""The client's stream and posts against a server that does not answer as it should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from feira.client.lines import Line
from feira.client.stream_line import POST_MESSAGES_MAX, open_stream


def answers_to(frame: list[dict[str, Any]]) -> web.Response:
    lines = [msgspec.json.encode({"id": one["id"], "ok": {}}) for one in frame]
    return web.Response(body=b"\n".join(lines), content_type="application/x-ndjson")


@dataclass
class Scripted:
    """A stream that says hello and is silent, and posts that are answered by `answer`."""

    answer: Callable[[list[dict[str, Any]]], web.Response] = answers_to
    posts: list[list[dict[str, Any]]] = field(default_factory=list[list[dict[str, Any]]])
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b'data: {"stream":{"id":"s"}}\n\n:\n\n')
        await self.over.wait()
        return answer

    async def commands(self, request: web.Request) -> web.Response:
        assert request.query["stream"] == "s"
        assert request.headers["Authorization"] == "Bearer t"
        frame = [msgspec.json.decode(line) for line in (await request.read()).splitlines()]
        self.posts.append(frame)
        return self.answer(frame)


@asynccontextmanager
async def line_to(script: Scripted, *, answer_within_s: float = 15.0) -> AsyncGenerator[Line]:
    app = web.Application()
    app.add_routes(
        [web.post("/socket/stream", script.stream), web.post("/socket/commands", script.commands)]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port: int = runner.addresses[0][1]

    async def token() -> str:
        return "t"

    try:
        async with (
            aiohttp.ClientSession() as http,
            open_stream(
                http,
                f"http://127.0.0.1:{port}/socket",
                {"id": 0, "connect": {}},
                token=token,
                answer_within_s=answer_within_s,
            ) as line,
        ):
            yield line
    finally:
        script.over.set()
        await runner.cleanup()


async def first(line: Line, count: int) -> list[dict[str, Any]]:
    arrived: list[dict[str, Any]] = []
    async with asyncio.timeout(15):
        async for message in line.messages():
            arrived.append(message)
            if len(arrived) == count:
                break
    return arrived


async def test_what_is_said_meanwhile_goes_with_the_next_post_in_order() -> None:
    script = Scripted()
    async with line_to(script) as line:
        for number in range(POST_MESSAGES_MAX + 20):
            await line.send({"id": number, "ping": {}})
        answers = await first(line, POST_MESSAGES_MAX + 20)
    assert [one["id"] for one in answers] == list(range(POST_MESSAGES_MAX + 20))
    assert [one["id"] for frame in script.posts for one in frame] == list(
        range(POST_MESSAGES_MAX + 20)
    )
    assert max(len(frame) for frame in script.posts) == POST_MESSAGES_MAX


async def test_a_post_that_failed_is_repeated_before_anything_newer() -> None:
    script = Scripted()
    failures = iter([503, 502])

    def fail_twice(frame: list[dict[str, Any]]) -> web.Response:
        status = next(failures, None)
        return answers_to(frame) if status is None else web.Response(status=status)

    script.answer = fail_twice
    async with line_to(script) as line:
        await line.send({"id": 1, "ping": {}})
        sent = asyncio.create_task(first(line, 2))
        while not script.posts:
            await asyncio.sleep(0.01)
        await line.send({"id": 2, "ping": {}})
        answers = await sent
    assert [one["id"] for one in answers] == [1, 2]
    assert [[one["id"] for one in frame] for frame in script.posts] == [[1], [1], [1], [2]]


async def test_a_frame_that_is_refused_as_a_whole_is_an_error_for_each_of_its_messages() -> None:
    problem = {"code": "request.too_large", "detail": "The body is over the limit."}
    script = Scripted(lambda _: web.json_response(problem, status=413))
    async with line_to(script) as line:
        await line.send({"id": 1, "send": {}})
        (answer,) = await first(line, 1)
    assert answer["id"] == 1
    assert answer["error"]["code"] == "request.too_large"
    assert answer["error"]["retryable"] is False


async def test_a_token_that_is_over_ends_the_line() -> None:
    async with line_to(Scripted(lambda _: web.Response(status=401))) as line:
        await line.send({"id": 1, "send": {}})
        with pytest.raises(aiohttp.ClientResponseError) as caught:
            await first(line, 1)
    assert caught.value.status == 401


async def test_a_stream_that_is_asked_and_does_not_answer_is_given_up() -> None:
    # Taken, handed to the bus, and lost there.
    script = Scripted(lambda _: web.Response(body=b""))
    async with line_to(script, answer_within_s=0.3) as line:
        await line.send({"id": 1, "subscribe": {"topic": "product:1"}})
        with pytest.raises(ConnectionError, match="did not answer"):
            await first(line, 1)


@pytest.mark.parametrize("words", [b"<html>Sign in to this network</html>", b""])
async def test_an_answer_that_is_not_the_servers_is_no_answer(words: bytes) -> None:
    script = Scripted()
    script.answer = lambda frame: (
        web.Response(body=words) if len(script.posts) == 1 else answers_to(frame)
    )
    async with line_to(script) as line:
        await line.send({"id": 1, "ping": {}})
        assert await first(line, 1) == [{"id": 1, "ok": {}}]
    assert len(script.posts) == 2


async def test_a_cut_breaks_the_line() -> None:
    async with line_to(Scripted()) as line:
        line.abort()
        with pytest.raises(ConnectionAbortedError):
            await first(line, 1)
