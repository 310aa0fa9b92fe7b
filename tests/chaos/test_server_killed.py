"""A server is killed with -9 in the middle of what people send it: what it acknowledged is kept, the rest is sent again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import aiohttp
import msgspec
import pytest

from feira.app import open_ground
from feira.platform.runtime.config import Config, to_environment
from tests.integration.cast import HOME, Cast, Part, assemble
from tests.integration.conftest import free_port

ROOT: Final = Path(__file__).parents[2]
START_WITHIN_S: Final = 20.0
MESSAGES: Final = 120
SENDERS: Final[tuple[Part, ...]] = ("buyer", "owner", "staff")


@dataclass
class Server:
    """A `feira serve` process."""

    process: subprocess.Popen[bytes]
    url: str

    async def until_ready(self, http: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(START_WITHIN_S):
            while True:
                assert self.process.poll() is None, "it ended by itself"
                with suppress(aiohttp.ClientError):
                    async with http.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


@asynccontextmanager
async def serving(config: Config, name: str) -> AsyncGenerator[Server]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    own = msgspec.structs.replace(config, node_name=name, port=port, public_url=url)
    process = subprocess.Popen(
        [sys.executable, "-m", "feira", "serve"],
        cwd=ROOT,
        env={**os.environ, **to_environment(own)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Server(process=process, url=url)
    finally:
        process.kill()
        process.wait(10)


@dataclass(frozen=True)
class Scene:
    config: Config
    cast: Cast
    http: aiohttp.ClientSession
    doomed: Server
    other: Server
    begins_after: int
    """The conversation's last message before the test."""

    @property
    def topic(self) -> str:
        return f"conversation:{self.cast.ids['conversation']}"

    async def fetch(self, statement: str, *args: object) -> list[Any]:
        async with self.cast.market.database.connection() as con:
            return [record[0] for record in await con.fetch(statement, *args)]


@pytest.fixture
async def scene(config: Config, fresh_database_dsn: str) -> AsyncIterator[Scene]:
    settings = msgspec.structs.replace(config, postgres_dsn=fresh_database_dsn)
    async with (
        open_ground(settings) as ground,
        serving(settings, "doomed") as doomed,
        serving(settings, "other") as other,
        aiohttp.ClientSession() as http,
    ):
        cast = await assemble(ground.market)
        await asyncio.gather(doomed.until_ready(http), other.until_ready(http))
        async with ground.market.database.connection() as con:
            said = await con.fetchval(
                "SELECT seq FROM conversations WHERE id = $1", UUID(cast.ids["conversation"])
            )
        yield Scene(
            config=settings,
            cast=cast,
            http=http,
            doomed=doomed,
            other=other,
            begins_after=said,
        )


@dataclass
class Sender:
    """Sends without waiting, counts what was acknowledged, and goes where it is told."""

    token: str
    topic: str
    client_ids: list[str] = field(default_factory=lambda: [str(uuid4()) for _ in range(MESSAGES)])
    acknowledged: dict[str, int] = field(default_factory=dict[str, int])
    heard: dict[int, str] = field(default_factory=dict[int, str])

    async def talk_to(self, url: str, http: aiohttp.ClientSession) -> None:
        """Send what is not acknowledged, until all is or the connection ends."""
        unsent = [c for c in self.client_ids if c not in self.acknowledged]
        async with http.ws_connect(f"{url}/v1/socket") as socket:
            resume = {self.topic: {"seq": 0, "epoch": "?"}}
            await self._say(socket, {"id": 0, "connect": {"token": self.token, "resume": resume}})
            await socket.receive()
            sending = asyncio.create_task(self._send(socket, unsent))
            try:
                async for frame in socket:
                    for line in frame.data.split("\n"):
                        self._take(msgspec.json.decode(line))
                    if len(self.acknowledged) == len(self.client_ids):
                        return
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, socket: aiohttp.ClientWebSocketResponse, unsent: list[str]) -> None:
        for client_id in unsent:
            send = {"topic": self.topic, "client_id": client_id, "text": client_id}
            await self._say(socket, {"id": self.client_ids.index(client_id) + 1, "send": send})
            # Below the rate at which a socket is told to wait.
            await asyncio.sleep(0.005)

    async def _say(self, socket: aiohttp.ClientWebSocketResponse, message: object) -> None:
        await socket.send_str(msgspec.json.encode(message).decode())

    def _take(self, message: dict[str, Any]) -> None:
        if "ok" in message:
            self.acknowledged[self.client_ids[message["id"] - 1]] = message["ok"]["seq"]
        elif "event" in message:
            event = message["event"]
            if event["topic"] == self.topic:
                assert event["seq"] not in self.heard, "an event came twice on one connection"
                self.heard[event["seq"]] = event["body"]["client_id"]


@pytest.mark.parametrize("after", [5, 150])
async def test_what_was_acknowledged_is_stored_and_a_resend_elsewhere_makes_nothing_twice(
    scene: Scene, after: int
) -> None:
    senders = [Sender(token=scene.cast.people[part].token, topic=scene.topic) for part in SENDERS]

    async def kill_in_the_middle() -> None:
        while sum(len(sender.acknowledged) for sender in senders) < after:
            await asyncio.sleep(0)
        scene.doomed.kill()

    await asyncio.gather(
        kill_in_the_middle(),
        *(sender.talk_to(scene.doomed.url, scene.http) for sender in senders),
        return_exceptions=True,
    )
    acknowledged = {c: seq for sender in senders for c, seq in sender.acknowledged.items()}
    assert after <= len(acknowledged) < len(SENDERS) * MESSAGES
    stored = await stored_messages(scene)
    for client_id, seq in acknowledged.items():
        assert stored[client_id] == seq
    # What was pushed to anybody was committed before.
    for sender in senders:
        assert all(stored[client_id] == seq for seq, client_id in sender.heard.items())
        sender.heard.clear()

    async with asyncio.timeout(20):
        await asyncio.gather(*(sender.talk_to(scene.other.url, scene.http) for sender in senders))
    everything = {c for sender in senders for c in sender.client_ids}
    stored = await stored_messages(scene)
    assert stored.keys() == everything
    first = scene.begins_after + 1
    assert sorted(stored.values()) == list(range(first, first + len(everything)))
    for client_id, seq in acknowledged.items():
        assert stored[client_id] == seq, "a place that was told moved"


async def stored_messages(scene: Scene) -> dict[str, int]:
    rows = await scene.fetch(
        "SELECT client_id::text || ' ' || seq FROM messages WHERE conversation_id = $1 AND seq > $2",
        UUID(scene.cast.ids["conversation"]),
        scene.begins_after,
    )
    pairs = [row.split() for row in rows]
    assert len({client_id for client_id, _ in pairs}) == len(pairs), "a message is there twice"
    return {client_id: int(seq) for client_id, seq in pairs}


async def test_requests_cut_off_half_way_are_repeated_with_their_keys_and_happen_once(
    scene: Scene,
) -> None:
    buyer = scene.cast.people["buyer"]
    headers = {"Authorization": f"Bearer {buyer.token}", "Content-Type": "application/json"}
    body = msgspec.json.encode(HOME)
    answered: dict[str, str] = {}

    async def post(url: str, key: str) -> None:
        async with scene.http.post(
            f"{url}/v1/me/addresses", data=body, headers=headers | {"Idempotency-Key": key}
        ) as answer:
            assert answer.status == 201
            made = (await answer.json())["id"]
        assert answered.setdefault(key, made) == made, "a repeat was answered differently"

    keys = [str(uuid4()) for _ in range(40)]

    async def kill_in_the_middle() -> None:
        while len(answered) < 10:
            await asyncio.sleep(0)
        scene.doomed.kill()

    await asyncio.gather(
        kill_in_the_middle(),
        *(post(scene.doomed.url, key) for key in keys),
        return_exceptions=True,
    )
    assert 10 <= len(answered) < len(keys)
    await asyncio.gather(*(post(scene.other.url, key) for key in keys))
    made = await scene.fetch("SELECT id::text FROM addresses WHERE user_id = $1", buyer.user)
    assert set(made) >= set(answered.values())
    assert len(set(answered.values())) == len(keys)
    # And the one that the cast began with.
    assert len(made) == len(keys) + 1
