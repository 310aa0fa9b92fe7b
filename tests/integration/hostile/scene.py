"""A node with two people who chat, whatever a third does; and a check that nothing of it is left behind."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import structlog
from aiohttp.web_protocol import RequestHandler

from feira.app import RunningNode, open_node
from feira.platform.domain.topics import conversation_topic
from feira.platform.runtime.config import Config
from feira.services.messaging.conversations import OpenConversation, open_conversation
from feira.services.users.sessions import open_session
from feira.sql.database import Tx
from feira.ws.connection import Connection
from feira.ws.limits import DEFAULT_LIMITS, SocketLimits
from feira.ws.session import Session
from tests.integration.live import eventually, make_shop, make_user
from tests.raw_socket import RawSocket, raw_socket

PATIENCE_S: Final = 20.0
_LISTENING: Final = "0A"
SMALL_BUFFER: Final = 4_096
_ids = itertools.count(1_000)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A node, a conversation, and the access tokens of its two members."""

    node: RunningNode
    topic: str
    buyer: str
    seller: str
    baseline: Footprint = field(default_factory=lambda: Footprint(0, 0, 0, 0))

    @property
    def port(self) -> int:
        return self.node.port

    @asynccontextmanager
    async def signed_in(
        self, token: str, *, receive_buffer: int | None = None, watching: bool = False
    ) -> AsyncGenerator[RawSocket]:
        """A raw socket of a member, connected."""
        async with raw_socket(self.port, receive_buffer=receive_buffer) as raw:
            await connect(raw, token)
            if watching:
                await raw.ask(next(_ids), subscribe={"topic": self.topic})
            yield raw

    @asynccontextmanager
    async def stalled(self) -> AsyncGenerator[tuple[RawSocket, Session]]:
        """A socket whose client takes nothing until it is read from by hand, and the server's end of it."""
        async with self.signed_in(self.seller, receive_buffer=SMALL_BUFFER, watching=True) as raw:
            raw.stall()
            yield raw, await self.session_of(raw)

    async def session_of(self, raw: RawSocket) -> Session:
        """The server's end of a socket: told by the port of the client's."""
        port = raw.writer.get_extra_info("sockname")[1]

        def found() -> list[Session]:
            return [one for one in self.node.sockets.sessions if peer_port(one) == port]

        await eventually(lambda: bool(found()))
        return found()[0]

    async def require_all_gone(self) -> None:
        """Everything that came is gone again, at the latest after a while."""
        await require_footprint(self.node, self.baseline)

    @asynccontextmanager
    async def chatting(self) -> AsyncGenerator[Chat]:
        """The two talk on and on: all that is said is acknowledged and heard, once and in order."""
        async with self.signed_in(self.buyer) as buyer, self.signed_in(self.seller) as seller:
            chat = Chat(topic=self.topic, buyer=buyer, seller=seller)
            await seller.ask(next(_ids), subscribe={"topic": self.topic})
            talking = asyncio.create_task(chat.talk())
            try:
                await eventually(lambda: chat.said >= 1 or talking.done())
                yield chat
            finally:
                chat.is_over = True
                await talking


@dataclass
class Chat:
    """One says, the other hears."""

    topic: str
    buyer: RawSocket
    seller: RawSocket
    seqs: list[int] = field(default_factory=list[int])
    is_over: bool = False

    @property
    def said(self) -> int:
        return len(self.seqs)

    async def talk(self) -> None:
        while not self.is_over:
            await self.say()
            await asyncio.sleep(0.05)

    async def say(self) -> None:
        """Say one thing; it is acknowledged, and the next that the other hears."""
        message = {"topic": self.topic, "client_id": str(uuid4()), "text": f"{self.said}"}
        answer = await self.buyer.ask(next(_ids), send=message)
        assert "ok" in answer, answer
        heard = await self.seller.told(lambda message: "text" in body_of(message))
        assert heard["event"]["seq"] == answer["ok"]["seq"]
        assert heard["event"]["body"]["client_id"] == message["client_id"]
        self.seqs.append(answer["ok"]["seq"])

    async def goes_on(self) -> None:
        """Something more is said and answered from now on."""
        before = self.said
        await eventually(lambda: self.said >= before + 2, within_s=PATIENCE_S)


def body_of(message: dict[str, Any]) -> dict[str, Any]:
    """What an event says; empty for other messages."""
    return message.get("event", {}).get("body", {})


def held_bytes(session: Session) -> int:
    """What this process holds for a client that has not taken it, or whose commands were not carried out."""
    connection: Any = session.connection
    assert isinstance(connection, Connection)
    inner: Any = connection
    transport = inner._transport
    queued = sum(len(one.data) for one in inner._queue) + sum(map(len, inner._pending))
    return queued + (transport.get_write_buffer_size() if transport is not None else 0)


def peer_port(session: Session) -> int | None:
    connection = session.connection
    assert isinstance(connection, Connection)
    transport = connection._transport  # pyright: ignore[reportPrivateUsage]
    peer = transport.get_extra_info("peername") if transport is not None else None
    return peer[1] if peer else None


async def connect(raw: RawSocket, token: str) -> dict[str, Any]:
    answer = await raw.ask(next(_ids), connect={"token": token})
    assert "connect" in answer, answer
    return answer["connect"]


async def set_scene(node: RunningNode) -> Scene:
    """Two people and their conversation, signed in without the password's deliberate slowness."""

    async def work(tx: Tx) -> tuple[str, str, str]:
        buyer, _ = await make_user(tx, "Buyer")
        seller, _ = await make_user(tx, "Seller")
        shop = await make_shop(tx, seller)
        conversation = await open_conversation(tx, buyer, OpenConversation(shop=shop))
        tokens: list[str] = []
        for person in (buyer, seller):
            opened = await open_session(tx, person.user_id, user_agent="test", address=None)
            issued, _ = node.market.tokens.issue(person.user_id, opened.session_id, tx.now)
            tokens.append(issued)
        return str(conversation_topic(conversation)), tokens[0], tokens[1]

    topic, buyer, seller = await node.market.database.transact(work)
    scene = Scene(node=node, topic=topic, buyer=buyer, seller=seller)
    # Pools and caches fill with the first use.
    async with scene.chatting() as chat:
        await chat.goes_on()
    await eventually(lambda: not node.sockets.sessions, within_s=PATIENCE_S)
    return replace(scene, baseline=footprint(node))


@asynccontextmanager
async def scene_on(config: Config, limits: SocketLimits = DEFAULT_LIMITS) -> AsyncGenerator[Scene]:
    """A served node with these limits. Nothing may be logged as an error, or be left when all have gone."""
    with structlog.testing.capture_logs() as logs:
        async with AsyncExitStack() as stack:
            complaints = stack.enter_context(complaints_of_asyncio())
            node = await stack.enter_async_context(open_node(config, socket_limits=limits))
            scene = await set_scene(node)
            yield scene
            await scene.require_all_gone()
    assert complaints == []
    assert [line for line in logs if line["log_level"] in {"error", "critical"}] == []


@dataclass(frozen=True)
class Footprint:
    """What a process holds for sockets: things that must not grow with those that came and went.

    `connections` are the server's ends of TCP connections, by their file descriptors.
    """

    sessions: int
    tasks: int
    connections: int
    watchers: int


def footprint(node: RunningNode) -> Footprint:
    return Footprint(
        sessions=len(node.sockets.sessions),
        tasks=len(asyncio.all_tasks()),
        connections=_connections_to(node.port),
        watchers=sum(len(actor.watchers) for actor in node.node.actors),
    )


def _connections_to(port: int) -> int:
    descriptors: list[str] = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            descriptors.append(str(descriptor.readlink()))
    # proc(5), net/tcp: number, local address, remote address, state, ... and the inode in the tenth field.
    lines = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return sum(
        int(fields[1].partition(":")[2], 16) == port
        and fields[3] != _LISTENING
        and f"socket:[{fields[9]}]" in descriptors
        for fields in lines
    )


async def require_footprint(node: RunningNode, baseline: Footprint) -> None:
    """Wait until the node is back to what it held; pools may have a connection or two more, each with a task."""

    def is_back() -> bool:
        now = footprint(node)
        return (
            now.sessions == 0
            and now.watchers == 0
            and now.tasks <= baseline.tasks + 5
            and now.connections == 0
        )

    try:
        await eventually(is_back, within_s=PATIENCE_S)
    except TimeoutError:
        names = sorted(task.get_name() for task in asyncio.all_tasks())
        raise AssertionError(f"{baseline} became {footprint(node)}; tasks: {names}") from None


async def require_nothing_referenced() -> None:
    """No ended session is kept in memory, once what it asked for is done; the test itself must hold none either."""
    kinds = (Session, Connection, RequestHandler)

    def left() -> list[object]:
        gc.collect()
        return [one for one in gc.get_objects() if isinstance(one, kinds)]

    try:
        await eventually(lambda: not left(), within_s=PATIENCE_S)
    except TimeoutError:
        raise AssertionError([gc.get_referrers(one) for one in left()]) from None


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


@contextmanager
def complaints_of_asyncio() -> Generator[list[str]]:
    """What the loop's exception handler and aiohttp log as errors: nobody else sees it."""
    handler = _Complaints()
    loggers = [logging.getLogger(name) for name in ("asyncio", "aiohttp")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield handler.said
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
