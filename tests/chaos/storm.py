"""A market in a storm: servers, a worker and stores that are killed and frozen while people talk through a bad network.

What happens when is drawn from a seed. Afterwards the weather is fine, everybody goes on until everything is said, and
`require_promises` looks at what came out.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import aiohttp
import msgspec

from feira.app import Ground, open_ground
from feira.client.socket import SocketClient
from feira.client.topic_log import Event
from feira.platform.domain.errors import Unavailable
from feira.platform.domain.jobs import SendVerificationEmail
from feira.platform.runtime.config import Config
from feira.platform.runtime.embedded.postgres import PostgresServer
from feira.platform.runtime.embedded.valkey import ValkeyServer
from feira.sql.database import Tx
from tests.chaos.processes import FeiraProcess
from tests.chaos.proxy import BadNetwork, bad_network
from tests.integration.cast import Cast, Part, assemble

SERVERS: Final = 2
SPEAKERS: Final[tuple[Part, ...]] = ("buyer", "owner", "staff")
SAY_EVERY_S: Final = 0.05
UNANSWERED_MAX: Final = 200
ENQUEUE_EVERY_S: Final = 0.2
SETTLE_WITHIN_S: Final = 90.0


@dataclass
class Speaker:
    """Says things without end, and notes what it was told."""

    part: Part
    client: SocketClient
    network: BadNetwork
    acknowledged: dict[UUID, int] = field(default_factory=dict[UUID, int])
    said: list[UUID] = field(default_factory=list[UUID])
    heard: list[Event] = field(default_factory=list[Event])
    gaps: set[int] = field(default_factory=set[int])
    """The client was told to load history up to there: too much was missed to be replayed."""
    every_s: float = SAY_EVERY_S

    async def talk(self, topic: str, until: asyncio.Event) -> None:
        """Say something every now and then; returns when all of it is acknowledged."""
        async with asyncio.TaskGroup() as sending:
            while not until.is_set():
                # Nobody goes on for ever without an answer.
                if len(self.said) - len(self.acknowledged) < UNANSWERED_MAX:
                    sending.create_task(self._say(topic))
                await asyncio.sleep(self.every_s)

    async def _say(self, topic: str) -> None:
        client_id = uuid4()
        self.said.append(client_id)
        posted = await self.client.send(topic, f"{self.part} {client_id}", client_id=client_id)
        self.acknowledged[client_id] = posted.seq


@dataclass
class Storm:
    """The processes, and what may befall them."""

    cast: Cast
    ground: Ground
    http: aiohttp.ClientSession
    servers: list[FeiraProcess]
    worker: FeiraProcess
    postgres: PostgresServer
    valkey: ValkeyServer
    random: random.Random
    begins_after: int = 0
    """The conversation's last message before the storm."""
    speakers: list[Speaker] = field(default_factory=list[Speaker])
    happened: list[str] = field(default_factory=list[str])
    jobs: int = 0

    @property
    def topic(self) -> str:
        return f"conversation:{self.cast.ids['conversation']}"

    async def rage(self, seconds: float, freeze_s: float) -> None:
        """Let one thing after the other go wrong, while everybody talks; then let all of it be said."""
        until = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            talking = [
                group.create_task(speaker.talk(self.topic, until)) for speaker in self.speakers
            ]
            group.create_task(self._enqueue(until))
            await self._break_things(seconds, freeze_s)
            until.set()
            _, silent = await asyncio.wait(talking, timeout=SETTLE_WITHIN_S)
            if silent:
                unsaid = {s.part: len(s.said) - len(s.acknowledged) for s in self.speakers}
                raise AssertionError(f"never acknowledged: {unsaid}; {self.happened}")

    async def _break_things(self, seconds: float, freeze_s: float) -> None:
        faults: list[Callable[[], Awaitable[None]]] = [
            self.kill_server,
            lambda: self.freeze_server(freeze_s),
            self.kill_worker,
            self.kill_valkey,
            self.kill_backend,
            self.cut_network,
            self.slow_network,
            lambda: self.freeze_network(freeze_s),
        ]
        ends_at = asyncio.get_running_loop().time() + seconds
        # Each once in a random order, then at random.
        first = self.random.sample(faults, len(faults))
        while first or asyncio.get_running_loop().time() < ends_at:
            await (first.pop() if first else self.random.choice(faults))()
            await asyncio.sleep(self.random.uniform(0.1, 0.6))

    async def _enqueue(self, until: asyncio.Event) -> None:
        user = self.cast.people["unverified"].user

        async def work(tx: Tx) -> None:
            tx.enqueue(SendVerificationEmail(user=user), dedup=f"storm:{self.jobs}")

        while not until.is_set():
            try:
                await self.ground.market.database.transact(work)
            except Unavailable:
                # Perhaps it is committed: the same key tells, next time.
                pass
            else:
                self.jobs += 1
            await asyncio.sleep(ENQUEUE_EVERY_S)

    # What may happen.

    async def kill_server(self) -> None:
        """With -9; whoever balances the load notices, and it comes back at its address."""
        server = self._drawn_server("server killed")
        server.kill()
        await asyncio.sleep(0.2)
        for speaker in self.speakers:
            if speaker.network.upstream_port == server.port:
                speaker.network.upstream_port = self._other_than(server).port
        await asyncio.sleep(self.random.uniform(0, 1))
        server.start()
        await server.until_ready(self.http)

    async def freeze_server(self, seconds: float) -> None:
        """It hangs with all its connections open, and goes on as if nothing had happened."""
        server = self._drawn_server("server frozen")
        server.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        server.signal(signal.SIGCONT)

    async def kill_worker(self) -> None:
        self.happened.append("worker killed")
        self.worker.kill()
        self.worker.start()
        await asyncio.sleep(0.5)

    async def kill_valkey(self) -> None:
        """It forgets everything."""
        self.happened.append("valkey killed")
        self.valkey.kill()
        await self.valkey.stop()
        await asyncio.sleep(self.random.uniform(0, 1))
        await self.valkey.start()

    async def kill_backend(self) -> None:
        """One session's process, with -9: PostgreSQL throws out all and recovers."""
        self.happened.append("backend killed")
        async with self.ground.market.database.connection() as con:
            pid: int | None = await con.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND backend_type = 'client backend' ORDER BY random() LIMIT 1"
            )
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(1)

    async def cut_network(self) -> None:
        """Somebody's connection breaks in the middle of a frame; the next leads to any server."""
        network = self._drawn_network("network cut")
        network.upstream_port = self.random.choice(self.servers).port
        network.bytes_until_cut = self.random.randrange(1, 2_000)
        await asyncio.sleep(0.5)
        network.cut()

    async def slow_network(self) -> None:
        self._drawn_network("network slow").latency_s = self.random.uniform(0, 0.2)

    async def freeze_network(self, seconds: float) -> None:
        """Half-open: nobody is told."""
        network = self._drawn_network("network frozen")
        network.freeze()
        await asyncio.sleep(seconds)
        network.thaw()

    def _drawn_server(self, what: str) -> FeiraProcess:
        server = self.random.choice(self.servers)
        self.happened.append(f"{what} ({self.servers.index(server)})")
        return server

    def _drawn_network(self, what: str) -> BadNetwork:
        speaker = self.random.choice(self.speakers)
        self.happened.append(f"{what} ({speaker.part})")
        return speaker.network

    def _other_than(self, server: FeiraProcess) -> FeiraProcess:
        return next(other for other in self.servers if other is not server)


@asynccontextmanager
async def storm(
    config: Config, postgres: PostgresServer, valkey: ValkeyServer, folder: Path, seed: int
) -> AsyncGenerator[Storm]:
    """Open a market of two servers and a worker on these stores; people talk in one conversation of it."""
    settings = msgspec.structs.replace(config, postgres_dsn=postgres.dsn, redis_url=valkey.url)
    servers = [
        FeiraProcess("serve", f"server-{n}", settings, folder / f"server-{n}.log")
        for n in range(SERVERS)
    ]
    worker = FeiraProcess("work", "worker", settings, folder / "worker.log")
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        ground = await stack.enter_async_context(open_ground(settings))
        for process in (*servers, worker):
            process.start()
            stack.callback(process.kill)
        cast = await assemble(ground.market)
        await asyncio.gather(*(server.until_ready(http) for server in servers))
        scene = Storm(
            cast=cast,
            ground=ground,
            http=http,
            servers=servers,
            worker=worker,
            postgres=postgres,
            valkey=valkey,
            random=random.Random(seed),
        )
        scene.begins_after = max(await _stored(scene), default=0)
        for number, part in enumerate(SPEAKERS):
            network = await stack.enter_async_context(bad_network(servers[number % SERVERS].port))
            speaker = await _enter(scene, part, network)
            stack.push_async_callback(speaker.client.close)
        yield scene


async def _enter(scene: Storm, part: Part, network: BadNetwork) -> Speaker:
    principal = scene.cast.people[part].principal

    async def token() -> str:
        tokens = scene.ground.market.tokens
        return tokens.issue(principal.user_id, principal.session_id, datetime.now(UTC))[0]

    client = SocketClient(f"http://127.0.0.1:{network.port}", scene.http, token)
    speaker = Speaker(part=part, client=client, network=network)
    await client.start()
    await client.watch(scene.topic, speaker.heard.append, on_gap=speaker.gaps.add)
    scene.speakers.append(speaker)
    return speaker


async def require_promises(scene: Storm) -> None:
    """Acknowledged is stored and heard, by all, once, in one order without holes; every job has run; counters settle."""
    stored = await _stored(scene)
    said = {client_id for speaker in scene.speakers for client_id in speaker.said}
    kept = {message["client_id"] for message in stored.values()}
    assert not said - kept, f"{len(said - kept)} of {len(said)} messages are lost"
    unheard_of = [
        str(message["body"]) for message in stored.values() if message["client_id"] not in said
    ]
    assert not unheard_of, f"said by nobody: {unheard_of}"
    assert len(stored) == len(said), "a message is there twice"
    head = max(stored)
    assert sorted(stored) == list(range(scene.begins_after + 1, head + 1))
    for speaker in scene.speakers:
        for client_id, seq in speaker.acknowledged.items():
            assert stored[seq]["client_id"] == client_id
        await _until(lambda s=speaker: bool(s.heard) and s.heard[-1].seq == head)
        _require_heard(speaker, stored, scene.begins_after + 1)
    await _require_jobs_done(scene)
    await _require_settled(scene)


def _require_heard(speaker: Speaker, stored: dict[int, dict[str, Any]], expected: int) -> None:
    for event in speaker.heard:
        if event.seq != expected:
            assert event.seq - 1 in speaker.gaps, f"{speaker.part} missed {expected}"
        assert UUID(event.body["client_id"]) == stored[event.seq]["client_id"]
        expected = event.seq + 1


async def _require_jobs_done(scene: Storm) -> None:
    by_state: dict[str, int] = {}

    async def are_done() -> bool:
        nonlocal by_state
        async with scene.ground.market.database.connection() as con:
            records = await con.fetch(
                "SELECT state, count(*) FROM jobs WHERE dedup LIKE 'storm:%' GROUP BY state"
            )
            by_state = {record["state"]: record["count"] for record in records}
        return by_state.keys() == {"done"}

    try:
        await _until(are_done)
    except TimeoutError:
        raise AssertionError(f"jobs are left: {by_state}") from None
    # The last one may be committed although nobody was told.
    assert by_state["done"] in (scene.jobs, scene.jobs + 1)


async def _require_settled(scene: Storm) -> None:
    """Nobody's leftovers: sockets are those of the speakers, and none when they are gone."""
    await _until(lambda: _sockets_are(scene, len(scene.speakers)))
    for speaker in scene.speakers:
        await speaker.client.close()
    await _until(lambda: _sockets_are(scene, 0))


async def _sockets_are(scene: Storm, count: int) -> bool:
    total = 0.0
    for server in scene.servers:
        async with scene.http.get(f"{server.url}/metrics") as answer:
            for line in (await answer.text()).splitlines():
                if line.startswith("feira_sockets_open "):
                    total += float(line.split()[1])
    return total == count


async def _stored(scene: Storm) -> dict[int, dict[str, Any]]:
    async with scene.ground.market.database.connection() as con:
        records = await con.fetch(
            "SELECT seq, client_id, body::text FROM messages WHERE conversation_id = $1 AND seq > $2 ORDER BY seq",
            UUID(scene.cast.ids["conversation"]),
            scene.begins_after,
        )
    return {record["seq"]: dict(record) for record in records}


async def _until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(SETTLE_WITHIN_S):
        while True:
            outcome = condition()
            if await outcome if isinstance(outcome, Awaitable) else outcome:
                return
            await asyncio.sleep(0.2)
