"""PostgreSQL freezes, and is killed, under people who talk and shop: everybody is told at once, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import uuid4

import msgspec
import pytest
import structlog
from aiohttp import ClientSession

from feira.app import RunningNode, open_node
from feira.platform.domain.errors import Unavailable
from feira.platform.runtime.config import Config
from feira.platform.runtime.embedded.postgres import PostgresServer
from feira.platform.runtime.embedded.valkey import ValkeyServer
from feira.ws.close_codes import CloseCode
from tests.chaos.cluster import frozen
from tests.chaos.talkers import Talker, require_each_once
from tests.integration.cast import Cast, Part, assemble
from tests.integration.conftest import free_port
from tests.integration.jobs_room import Mark, Room, holds, open_room, until
from tests.integration.sockets import opened

AWAY_S: Final = 7.0
ANSWERED_WITHIN_S: Final = 4.0
How = Literal["frozen", "killed"]


@asynccontextmanager
async def away(how: How, postgres: PostgresServer) -> AsyncGenerator[None]:
    if how == "frozen":
        with frozen(postgres):
            yield
        return
    postgres.kill()
    await postgres.stop()
    yield
    await postgres.start()


@dataclass(frozen=True)
class Scene:
    node: RunningNode
    cast: Cast
    http: ClientSession
    talkers: list[Talker]

    async def request(
        self, method: str, path: str, part: Part = "buyer", body: object = None
    ) -> tuple[int, Any, float]:
        """Status, decoded body, and seconds; the wait that a refusal names is a whole number of them."""
        started = time.monotonic()
        headers = self.cast.headers(part)
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else msgspec.json.encode(body)
        async with self.http.request(method, path, headers=headers, data=data) as answer:
            decoded = await answer.json(content_type=None)
            if answer.status == 503 and path.startswith("/v1/"):
                assert answer.headers["Retry-After"].isdecimal()
            return answer.status, decoded, time.monotonic() - started


@pytest.fixture
async def scene(
    config: Config, postgres: PostgresServer, valkey: ValkeyServer
) -> AsyncIterator[Scene]:
    port = free_port()
    settings = msgspec.structs.replace(
        config,
        postgres_dsn=postgres.dsn,
        redis_url=valkey.url,
        port=port,
        public_url=f"http://127.0.0.1:{port}",
    )
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(open_node(settings))
        cast = await assemble(node.market)
        topic = f"conversation:{cast.ids['conversation']}"
        parts: tuple[Part, ...] = ("buyer", "owner", "staff")
        talkers: list[Talker] = []
        for part in parts:
            client = await stack.enter_async_context(opened(node))
            await client.ask(connect={"token": cast.people[part].token})
            await client.ask(subscribe={"topic": topic})
            talkers.append(Talker(client=client, topic=topic, name=part))
        http = await stack.enter_async_context(ClientSession(f"http://127.0.0.1:{node.port}"))
        yield Scene(node=node, cast=cast, http=http, talkers=talkers)


@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_everybody_is_told_at_once_and_all_goes_on_by_itself_when_postgres_is_back(
    scene: Scene, postgres: PostgresServer, how: How
) -> None:
    said = {talker.name: [await talker.say()] for talker in scene.talkers}
    key = uuid4().hex
    with structlog.testing.capture_logs() as logs:
        async with away(how, postgres):
            ends_at = time.monotonic() + AWAY_S
            await asyncio.gather(
                *(talk(talker, said[talker.name], ends_at) for talker in scene.talkers),
                browse(scene, ends_at),
                accept(scene, key, ends_at),
            )
        status, ready, _ = await until_ready(scene)
        assert (status, ready["status"]) == (200, "ready")
        for talker in scene.talkers:
            await talker.insist(said[talker.name])
        everything = {client_id for ids in said.values() for client_id in ids}
        last = max(seq for talker in scene.talkers for seq in talker.acknowledged.values())
        for talker in scene.talkers:
            require_each_once(await talker.hear(last), everything)
        assert await accept(scene, key, time.monotonic() + 15) == 200
    async with scene.node.market.database.connection() as con:
        stored = "SELECT count(*) FROM messages WHERE client_id = ANY ($1::uuid[])"
        assert await con.fetchval(stored, list(everything)) == len(everything)
    assert [line for line in logs if line["log_level"] == "error"] == []


async def test_a_socket_that_opens_meanwhile_is_told_to_come_back_and_then_gets_in(
    scene: Scene, postgres: PostgresServer
) -> None:
    token = scene.cast.people["other_buyer"].token
    with frozen(postgres):
        async with opened(scene.node) as client:
            answer = await client.ask(connect={"token": token})
            assert answer["error"]["code"] == "database.unavailable"
            assert answer["error"]["retryable"]
            assert await client.closed() == CloseCode.UNAVAILABLE
    async with asyncio.timeout(10):
        while "connect" not in answer:
            await asyncio.sleep(0.1)
            async with opened(scene.node) as client:
                answer = await client.ask(connect={"token": token})


async def test_a_node_stops_in_bounded_time_while_postgres_is_frozen(
    config: Config, postgres: PostgresServer, valkey: ValkeyServer
) -> None:
    settings = msgspec.structs.replace(config, postgres_dsn=postgres.dsn, redis_url=valkey.url)
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(open_node(settings))
        async with node.market.database.connection() as con:
            assert await con.fetchval("SELECT 1") == 1
        with frozen(postgres):
            started = time.monotonic()
            await stack.aclose()
            assert time.monotonic() - started < 8


async def test_a_statement_that_is_merely_slow_is_left_alone(scene: Scene) -> None:
    async with scene.node.market.database.connection() as con:
        assert await con.fetchval("SELECT 7 FROM pg_sleep(3)") == 7


@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_workers_go_on_when_postgres_is_back_and_every_job_has_one_effect(
    config: Config, postgres: PostgresServer, valkey: ValkeyServer, how: How
) -> None:
    settings = msgspec.structs.replace(config, postgres_dsn=postgres.dsn, redis_url=valkey.url)
    async with open_room(settings) as room, room.worker():
        names = [f"before {number}" for number in range(20)]
        for name in names:
            await room.add(Mark(name=name), dedup=name)
        async with away(how, postgres):
            await asyncio.sleep(3)
        names += (after := [f"after {number}" for number in range(20)])
        await until(lambda: _is_back(room))
        for name in after:
            await room.add(Mark(name=name), dedup=name)
        done = "SELECT count(*) FROM jobs WHERE state = 'done'"
        # A claim whose answer was lost may have happened: its job waits for the lease to end.
        await until(lambda: holds(room.value(done), len(names)), deadline_s=60)
        assert await room.value("SELECT count(*) FROM marks") == len(names)
        assert await room.value("SELECT count(DISTINCT name) FROM marks") == len(names)


async def _is_back(room: Room) -> bool:
    try:
        return await room.value("SELECT true")
    except Unavailable:
        return False


async def talk(talker: Talker, said: list[str], ends_at: float) -> None:
    """The socket stays open and answers; a message is refused, and may be sent again."""
    while time.monotonic() < ends_at:
        said.append(await talker.say())
        started = time.monotonic()
        assert "ok" in await talker.client.ask(ping={})
        assert time.monotonic() - started < 1
        await asyncio.sleep(0.2)
    assert talker.refused
    assert all(error["retryable"] for error in talker.refused), talker.refused
    assert talker.slowest_s < ANSWERED_WITHIN_S


async def browse(scene: Scene, ends_at: float) -> None:
    """Reading, changing, signing in, looking at health."""
    address = {
        "name": "A",
        "line1": "B",
        "city": "C",
        "postal_code": "1",
        "country": "PT",
    }
    requests: tuple[tuple[str, str, object], ...] = (
        ("GET", "/v1/me", None),
        ("GET", "/v1/search?q=thing", None),
        ("POST", "/v1/me/addresses", address),
        ("POST", "/v1/auth/login", {"email": "a@b.example", "password": "x"}),
        ("GET", f"/v1/products/{scene.cast.ids['product']}", None),
    )
    while time.monotonic() < ends_at:
        answers = await asyncio.gather(
            *(scene.request(method, path, "buyer", body) for method, path, body in requests)
        )
        for (_, path, _), (status, problem, took_s) in zip(requests, answers, strict=True):
            assert took_s < ANSWERED_WITHIN_S, (path, took_s)
            assert status == 503, (path, problem)
            assert problem["code"] == "database.unavailable"
            assert problem["retryable"]
        status, ready, took_s = await scene.request("GET", "/readyz")
        assert (status, list(ready["failed"])) == (503, ["postgres"])
        assert took_s < 2
        await asyncio.sleep(0.2)


async def accept(scene: Scene, key: str, ends_at: float) -> int:
    """One command on an order, with one key, sent again and again until it is answered for good."""
    path = f"/v1/orders/{scene.cast.ids['order']}/commands"
    headers = scene.cast.headers("owner") | {
        "Idempotency-Key": key,
        "Content-Type": "application/json",
    }
    status = 503
    while status == 503 and time.monotonic() < ends_at:
        started = time.monotonic()
        async with scene.http.post(path, data=b'{"action":"accept"}', headers=headers) as answer:
            status = answer.status
        assert time.monotonic() - started < ANSWERED_WITHIN_S
        await asyncio.sleep(0.2)
    return status


async def until_ready(scene: Scene) -> tuple[int, Any, float]:
    async with asyncio.timeout(10):
        while True:
            answer = await scene.request("GET", "/readyz")
            if answer[0] == 200:
                return answer
            await asyncio.sleep(0.1)
