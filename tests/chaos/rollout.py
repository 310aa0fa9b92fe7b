"""Two servers that are restarted one after the other, as a new version is rolled out, under sockets and talk."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import aiohttp
import msgspec

from feira.app import Ground, open_ground
from feira.client.socket import SocketClient
from feira.platform.domain.ids import UserId
from feira.platform.domain.topics import conversation_topic
from feira.platform.runtime.config import Config
from feira.services.users.sessions import open_session
from feira.sql.database import Tx
from tests.chaos.processes import FeiraProcess
from tests.chaos.proxy import bad_network
from tests.chaos.storm import Speaker
from tests.integration.live import Talk, eventually, open_talk
from tests.raw_socket import CLOSE, PING, PONG, TEXT, RawSocket, frame, tcp, text

DRAIN_S: Final = 6.0
SETTLE_WITHIN_S: Final = 120.0
SILENCE_MAX_S: Final = 60.0
COMING_PER_S: Final = 300


class Heard(NamedTuple):
    """A message of the log: its place, and whose name it bears."""

    seq: int
    client_id: UUID


@dataclass(eq=False)
class Listener:
    """A client of few lines: it follows one conversation, goes where it is sent, and notes all that it was told."""

    topic: str
    token: str
    ports: tuple[int, int]
    """Of both servers; it begins with the first and turns to the other whenever a connection ends."""
    port: int = 0
    """Where it is connected and signed in; 0 in between."""
    heard: list[Heard] = field(default_factory=list[Heard])
    """In the order of their coming: nothing is sorted or dropped."""
    farewells: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    close_codes: list[int | None] = field(default_factory=list[int | None])
    gaps: int = 0
    refusals: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    farewells_due: int = 0
    _position: dict[str, Any] = field(default_factory=dict[str, Any])
    _retry_ms: tuple[int, int] = (100, 500)
    _early: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Events that overtook the answer to `connect`."""

    async def listen(self, after_s: float) -> None:
        """Until cancelled."""
        await asyncio.sleep(after_s)
        turn = 0
        while True:
            self._retry_ms, self._early = (100, 500), []
            port = self.ports[turn % len(self.ports)]
            try:
                async with tcp(port) as raw:
                    if (await raw.shake_hands()).status == 101:
                        await self._stay(raw, port)
            except (OSError, EOFError):
                # It is not there, or not any more; the other one is.
                pass
            finally:
                self.port = 0
            turn += 1
            await asyncio.sleep(random.uniform(*self._retry_ms) / 1000)

    async def _stay(self, raw: RawSocket, port: int) -> None:
        resume = {self.topic: self._position}
        raw.send(text({"id": 1, "connect": {"token": self.token, "resume": resume}}))
        while (received := await raw.receive(within_s=SILENCE_MAX_S)) is not None:
            if received.opcode == TEXT:
                for message in received.messages:
                    self._take(message, port)
            elif received.opcode == PING:
                raw.send(frame(PONG, received.payload))
            elif received.opcode == CLOSE:
                self.close_codes.append(received.close_code)
                raw.send(frame(CLOSE, received.payload[:2]))

    def _take(self, message: dict[str, Any], port: int) -> None:
        if "event" in message and self.port == 0:
            self._early.append(message["event"])
        elif "event" in message:
            self._hear(message["event"])
        elif "connect" in message:
            resumed = message["connect"]["topics"][self.topic]
            self.gaps += not resumed["recovered"]
            for event in (*resumed["events"], *self._early):
                self._hear(event)
            if not self.heard:
                self._position["seq"] = resumed["seq"]
            self._position["epoch"] = resumed["epoch"]
            self.port = port
        elif "disconnect" in message:
            self.farewells.append(message["disconnect"])
            low, high = message["disconnect"]["retry_ms"]
            self._retry_ms = (low, high)
        elif "error" in message or "unsubscribed" in message:
            self.refusals.append(message)

    def _hear(self, event: dict[str, Any]) -> None:
        self.heard.append(Heard(event["seq"], UUID(event["body"]["client_id"])))
        self._position["seq"] = event["seq"]


@dataclass(frozen=True)
class Rollout:
    """Every conversation has one who talks without end, and many who listen; half of all are on either server."""

    ground: Ground
    http: aiohttp.ClientSession
    servers: tuple[FeiraProcess, FeiraProcess]
    speakers: dict[str, Speaker] = field(default_factory=dict[str, Speaker])
    listeners: list[Listener] = field(default_factory=list[Listener])

    @asynccontextmanager
    async def talking(self) -> AsyncGenerator[None]:
        """All talk until the context ends, and it ends when all that was said is acknowledged."""
        until = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            talks = [
                group.create_task(speaker.talk(topic, until))
                for topic, speaker in self.speakers.items()
            ]
            yield
            until.set()
            async with asyncio.timeout(SETTLE_WITHIN_S):
                await asyncio.gather(*talks)

    async def restart(self, server: FeiraProcess) -> None:
        """Stop it, start it at the same address, and go on when everybody is somewhere again."""
        (other,) = (each for each in self.servers if each is not server)
        for listener in self.listeners:
            listener.farewells_due += listener.port == server.port
        for speaker in self.speakers.values():
            speaker.network.upstream_port = other.port
        assert await server.stop() == 0
        server.start()
        await server.until_ready(self.http)
        await self.everybody_on({other.port})

    async def everybody_on(self, ports: set[int]) -> None:
        await eventually(
            lambda: all(listener.port in ports for listener in self.listeners),
            within_s=SETTLE_WITHIN_S,
        )

    async def require_nothing_lost(self) -> None:
        """Acknowledged is stored; stored is heard by everybody, once and in order; everybody was told to move on."""
        for topic, speaker in self.speakers.items():
            stored = await self._stored(topic)
            assert [message.seq for message in stored] == list(range(1, len(stored) + 1))
            assert {message.client_id for message in stored} == set(speaker.said)
            assert {message.client_id: message.seq for message in stored} == speaker.acknowledged
            listeners = [each for each in self.listeners if each.topic == topic]
            await eventually(
                lambda lot=listeners, last=stored[-1]: all(
                    listener.heard[-1:] == [last] for listener in lot
                ),
                within_s=SETTLE_WITHIN_S,
            )
            for listener in listeners:
                assert listener.heard == stored
                assert (listener.gaps, listener.refusals) == (0, [])
            await eventually(lambda s=speaker, last=stored[-1]: s.heard[-1].seq == last.seq)
            assert [event.seq for event in speaker.heard] == [message.seq for message in stored]
            assert not speaker.gaps
        for listener in self.listeners:
            farewell = {"code": 3001, "reason": "draining", "retry_ms": [0, 5_000]}
            assert listener.farewells == [farewell] * listener.farewells_due
            assert listener.close_codes == [3001] * listener.farewells_due
        for server in self.servers:
            assert server.errors() == []

    async def _stored(self, topic: str) -> list[Heard]:
        async with self.ground.market.database.connection() as con:
            records = await con.fetch(
                "SELECT seq, client_id FROM messages WHERE conversation_id = $1 ORDER BY seq",
                UUID(topic.removeprefix("conversation:")),
            )
        return [Heard(record["seq"], record["client_id"]) for record in records]


@asynccontextmanager
async def rollout(
    config: Config, folder: Path, *, talks: int, listeners: int, say_every_s: float
) -> AsyncGenerator[Rollout]:
    """Two servers, with so many conversations and listeners in all."""
    settings = msgspec.structs.replace(config, drain_s=DRAIN_S)
    servers = (
        FeiraProcess("serve", "server-0", settings, folder / "server-0.log"),
        FeiraProcess("serve", "server-1", settings, folder / "server-1.log"),
    )
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        ground = await stack.enter_async_context(open_ground(settings))
        for process in servers:
            process.start()
            stack.callback(process.kill)
        await asyncio.gather(*(server.until_ready(http) for server in servers))
        scene = Rollout(ground=ground, http=http, servers=servers)
        listening = await stack.enter_async_context(_until_the_end())
        for number in range(talks):
            talk = await open_talk(ground.market.database)
            for place in range(number, listeners, talks):
                await _add_listener(scene, listening, talk, place)
            await _add_speaker(scene, stack, talk, say_every_s, servers[number % 2].port)
        await scene.everybody_on({server.port for server in servers})
        yield scene


@asynccontextmanager
async def _until_the_end() -> AsyncGenerator[set[asyncio.Task[None]]]:
    tasks: set[asyncio.Task[None]] = set()
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    failures = [error for error in ended if isinstance(error, Exception)]
    if failures:
        raise ExceptionGroup("listeners failed", failures)


async def _add_listener(
    scene: Rollout, listening: set[asyncio.Task[None]], talk: Talk, place: int
) -> None:
    user = (talk.buyer, talk.seller)[place // 2 % 2].user_id
    first, second = (server.port for server in scene.servers)
    listener = Listener(
        topic=str(conversation_topic(talk.conversation)),
        token=await _sign_in(scene.ground, user),
        ports=(first, second) if place % 2 else (second, first),
    )
    scene.listeners.append(listener)
    listening.add(asyncio.create_task(listener.listen(after_s=place / COMING_PER_S)))


async def _add_speaker(
    scene: Rollout, stack: AsyncExitStack, talk: Talk, every_s: float, port: int
) -> None:
    network = await stack.enter_async_context(bad_network(port))

    async def token() -> str:
        return await _sign_in(scene.ground, talk.buyer.user_id)

    client = SocketClient(f"http://127.0.0.1:{network.port}", scene.http, token)
    speaker = Speaker(part="buyer", client=client, network=network, every_s=every_s)
    stack.push_async_callback(client.close)
    await client.start()
    topic = str(conversation_topic(talk.conversation))
    await client.watch(topic, speaker.heard.append, on_gap=speaker.gaps.add)
    scene.speakers[topic] = speaker


async def _sign_in(ground: Ground, user: UserId) -> str:
    async def work(tx: Tx) -> str:
        opened = await open_session(tx, user, user_agent="a tab", address=None)
        return ground.market.tokens.issue(user, opened.session_id, tx.now)[0]

    return await ground.market.database.transact(work)
