"""The Python client where WebSockets do not get through: the same promises over a stream and posts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import aiohttp
import msgspec
import pytest

from feira.app import RunningNode, open_node
from feira.client.api import ApiClient
from feira.client.lines import WEBSOCKET_TRIES, Transport
from feira.client.socket import SocketClient
from feira.platform.domain.ids import SessionId, UserId
from feira.platform.runtime.config import Config
from feira.services.users.sessions import revoke_session
from feira.sql.database import Tx
from tests.chaos.proxy import BadNetwork, bad_network
from tests.integration.conftest import free_port
from tests.integration.live import eventually
from tests.integration.test_client_socket import PASSWORD, Person, Talk, start_talk

SEED = 20_26
HEAD_BYTES_MAX = 64 * 1024


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def other(node: RunningNode, node_config: Config) -> AsyncIterator[RunningNode]:
    """A second node of the same market."""
    config = msgspec.structs.replace(node_config, port=free_port(), node_name="other")
    async with open_node(config) as running:
        yield running


@pytest.fixture
async def talk(node: RunningNode) -> Talk:
    return await start_talk(node)


@asynccontextmanager
async def entered(
    node: RunningNode, mail: str, http: aiohttp.ClientSession, port: int, transport: Transport
) -> AsyncGenerator[Person]:
    """Signed in at a node, with a client whose connections go through a port."""
    api = ApiClient(f"http://127.0.0.1:{node.port}", http)
    await api.sign_in(mail, PASSWORD)
    socket = SocketClient(f"http://127.0.0.1:{port}", http, api.token, transport=transport)
    async with asyncio.timeout(20):
        await socket.start()
    try:
        yield Person(api, socket)
    finally:
        await socket.close()


async def test_a_chat_over_streams_on_two_nodes_survives_cuts_in_order_and_once(
    node: RunningNode, other: RunningNode, talk: Talk, http: aiohttp.ClientSession
) -> None:
    chance = random.Random(SEED)
    async with (
        bad_network(node.port) as near,
        bad_network(other.port) as far,
        entered(node, talk.buyer_mail, http, near.port, "http") as buyer,
        entered(node, talk.seller_mail, http, far.port, "http") as seller,
    ):
        assert not buyer.socket.is_websocket
        await buyer.watch(talk.topic)
        await seller.watch(talk.topic)

        async def speak(person: Person, name: str) -> None:
            sending: list[asyncio.Task[object]] = []
            for number in range(40):
                sending.append(
                    asyncio.create_task(person.socket.send(talk.topic, f"{name} {number}"))
                )
                await asyncio.sleep(0.01)
            await asyncio.gather(*sending)

        async def spoil(network: BadNetwork, upstream: list[int]) -> None:
            for _ in range(4):
                await asyncio.sleep(chance.uniform(0.02, 0.2))
                # The next connections, a stream or posts, lead to any node.
                network.upstream_port = chance.choice(upstream)
                network.bytes_until_cut = chance.randrange(1, 2_000)
                await asyncio.sleep(chance.uniform(0.02, 0.1))
                network.cut()

        ports = [node.port, other.port]
        async with asyncio.timeout(30):
            await asyncio.gather(
                speak(buyer, "buyer"),
                speak(seller, "seller"),
                spoil(near, ports),
                spoil(far, ports),
            )
        await eventually(lambda: len(buyer.events) == len(seller.events) == 80, within_s=20)
        assert buyer.seqs == seller.seqs == list(range(1, 81))
        assert buyer.texts == seller.texts
        for name in ("buyer", "seller"):
            said = [text for text in buyer.texts if text.startswith(name)]
            assert said == [f"{name} {number}" for number in range(40)]
        assert buyer.socket.reconnects > 0
        assert seller.socket.reconnects > 0


async def test_what_was_said_while_a_stream_was_away_is_replayed(
    node: RunningNode, talk: Talk, http: aiohttp.ClientSession
) -> None:
    async with (
        bad_network(node.port) as network,
        entered(node, talk.buyer_mail, http, network.port, "http") as buyer,
        entered(node, talk.seller_mail, http, node.port, "websocket") as seller,
    ):
        await buyer.watch(talk.topic)
        network.is_refusing = True
        network.cut()
        for number in range(5):
            await seller.socket.send(talk.topic, f"{number}")
        assert not buyer.events
        answer = asyncio.create_task(buyer.socket.send(talk.topic, "from the tunnel"))
        await asyncio.sleep(0.1)
        network.is_refusing = False
        async with asyncio.timeout(20):
            assert (await answer).seq == 6
        await eventually(lambda: buyer.seqs == [1, 2, 3, 4, 5, 6], within_s=20)


async def test_a_session_that_is_ended_ends_a_client_on_a_stream_for_good(
    node: RunningNode, talk: Talk, http: aiohttp.ClientSession
) -> None:
    async with entered(node, talk.buyer_mail, http, node.port, "http") as buyer:
        session = (await buyer.api.get("/v1/me/sessions"))["items"][0]["id"]

        async def work(tx: Tx) -> bool:
            user = UserId(UUID(buyer.api.user))
            return await revoke_session(tx, user, SessionId(UUID(session)), "logout")

        assert await node.market.database.transact(work)
        async with asyncio.timeout(20):
            ended = await buyer.socket.wait_ended()
        assert ended.close_code == 3503


class Refusing:
    """A proxy of another age: it answers requests for an upgrade itself, and passes on all others."""

    def __init__(self, upstream_port: int, status: int) -> None:
        self.is_strict = True
        self.refused = 0
        self._upstream_port = upstream_port
        self._status = status

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            is_upgrade = b"upgrade: websocket" in head.lower()
            if not is_upgrade:
                # One request a connection, so that each is looked at.
                head = head.removesuffix(b"\r\n") + b"Connection: close\r\n\r\n"
            elif self.is_strict:
                self.refused += 1
                writer.write(
                    b"HTTP/1.1 %d Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    % self._status
                )
                await writer.drain()
                return
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            up_writer.write(head)
            await asyncio.wait(
                [
                    asyncio.create_task(_pour(reader, up_writer)),
                    asyncio.create_task(_pour(up_reader, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
            up_writer.transport.abort()
        except (ConnectionError, asyncio.IncompleteReadError):
            # Either side left.
            return
        finally:
            writer.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(HEAD_BYTES_MAX):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return


@asynccontextmanager
async def refusing(upstream_port: int, status: int) -> AsyncGenerator[tuple[Refusing, int]]:
    proxy = Refusing(upstream_port, status)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    async with server:
        yield proxy, int(server.sockets[0].getsockname()[1])


@pytest.mark.parametrize("status", [400, 403])
async def test_a_refused_upgrade_leads_to_a_stream_and_later_back(
    node: RunningNode, talk: Talk, http: aiohttp.ClientSession, status: int
) -> None:
    async with (
        refusing(node.port, status) as (proxy, port),
        entered(node, talk.buyer_mail, http, port, "auto") as buyer,
        entered(node, talk.seller_mail, http, node.port, "auto") as seller,
    ):
        assert proxy.refused == WEBSOCKET_TRIES
        assert not buyer.socket.is_websocket
        assert seller.socket.is_websocket
        await buyer.watch(talk.topic)
        await seller.watch(talk.topic)
        await buyer.socket.send(talk.topic, "Olá")
        await seller.socket.send(talk.topic, "Bom dia")
        await eventually(lambda: len(buyer.events) == len(seller.events) == 2)

        buyer.socket.drop()
        # One WebSocket is tried, and the stream again.
        await seller.socket.send(talk.topic, "Está aí?")
        await eventually(lambda: len(buyer.events) == 3, within_s=20)
        assert proxy.refused == WEBSOCKET_TRIES + 1
        assert not buyer.socket.is_websocket

        proxy.is_strict = False
        buyer.socket.drop()
        await seller.socket.send(talk.topic, "Ainda?")
        await eventually(lambda: len(buyer.events) == 4, within_s=20)
        assert buyer.socket.is_websocket
        assert buyer.events == seller.events


async def test_a_websocket_alone_is_what_it_was_asked_for(
    node: RunningNode, talk: Talk, http: aiohttp.ClientSession
) -> None:
    async with refusing(node.port, 403) as (proxy, port):
        api = ApiClient(f"http://127.0.0.1:{node.port}", http)
        await api.sign_in(talk.buyer_mail, PASSWORD)
        socket = SocketClient(f"http://127.0.0.1:{port}", http, api.token, transport="websocket")
        starting = asyncio.create_task(socket.start())
        await eventually(lambda: proxy.refused > WEBSOCKET_TRIES, within_s=20)
        assert socket.is_websocket
        assert not starting.done()
        await socket.close()
        await asyncio.gather(starting, return_exceptions=True)
