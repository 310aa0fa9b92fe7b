"""The Python client on a real node: its promises hold whatever the connection does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import aiohttp
import pytest

from feira.app import RunningNode, open_node
from feira.client.api import ApiClient
from feira.client.socket import Encoding, SocketClient, SocketProblem
from feira.client.topic_log import Event
from feira.platform.domain.ids import SessionId, UserId
from feira.platform.domain.topics import conversation_topic
from feira.platform.runtime.config import Config
from feira.services.messaging.conversations import OpenConversation, open_conversation
from feira.services.users.passwords import hash_password
from feira.services.users.sessions import revoke_session
from feira.sql.database import Tx
from feira.ws.protocol import RESUME_TOPICS_MAX
from tests.integration.live import eventually, make_shop, make_user

PASSWORD = "uma palavra segura"


@dataclass(eq=False)
class Person:
    """Somebody with the client under test, and everything that it handed over."""

    api: ApiClient
    socket: SocketClient
    events: list[Event] = field(default_factory=list[Event])

    @property
    def seqs(self) -> list[int]:
        return [event.seq for event in self.events]

    @property
    def texts(self) -> list[str]:
        return [event.body["text"] for event in self.events]

    async def watch(self, topic: str, *, from_start: bool = False) -> None:
        position = (0, self.socket.epoch) if from_start else None
        await self.socket.watch(topic, self.events.append, position=position)


@dataclass(frozen=True)
class Talk:
    conversation: str
    buyer_mail: str
    seller_mail: str

    @property
    def topic(self) -> str:
        return f"conversation:{self.conversation}"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def start_talk(node: RunningNode) -> Talk:
    password_hash = await hash_password(PASSWORD)

    async def work(tx: Tx) -> Talk:
        buyer, buyer_mail = await make_user(tx, "Buyer", password_hash)
        seller, seller_mail = await make_user(tx, "Seller", password_hash)
        conversation = await open_conversation(
            tx, buyer, OpenConversation(shop=await make_shop(tx, seller))
        )
        assert str(conversation_topic(conversation)) == f"conversation:{conversation}"
        return Talk(str(conversation), buyer_mail, seller_mail)

    return await node.market.database.transact(work)


@asynccontextmanager
async def signed_in(
    url: str, http: aiohttp.ClientSession, mail: str, encoding: Encoding = "json"
) -> AsyncGenerator[Person]:
    api = ApiClient(url, http)
    await api.sign_in(mail, PASSWORD)
    person = Person(api, SocketClient(url, http, api.token, encoding=encoding))
    async with asyncio.timeout(10):
        await person.socket.start()
    try:
        yield person
    finally:
        await person.socket.close()


@pytest.fixture
def url(node_config: Config) -> str:
    return node_config.public_url


@pytest.mark.parametrize(("mine", "theirs"), [("json", "msgpack"), ("msgpack", "json")])
async def test_both_sides_get_the_same_events_in_either_encoding(
    node: RunningNode, url: str, http: aiohttp.ClientSession, mine: Encoding, theirs: Encoding
) -> None:
    talk = await start_talk(node)
    async with (
        signed_in(url, http, talk.buyer_mail, mine) as buyer,
        signed_in(url, http, talk.seller_mail, theirs) as seller,
    ):
        for person in (buyer, seller):
            await person.watch(talk.topic)
        assert [(await buyer.socket.send(talk.topic, f"{n}")).seq for n in range(5)] == [
            1, 2, 3, 4, 5,
        ]  # fmt: skip
        await eventually(lambda: len(buyer.events) == len(seller.events) == 5)
    assert buyer.events == seller.events
    assert seller.texts == ["0", "1", "2", "3", "4"]


async def test_dropped_sockets_neither_lose_nor_double_nor_swap_a_message(
    node: RunningNode, url: str, http: aiohttp.ClientSession
) -> None:
    talk = await start_talk(node)
    dice = random.Random(7)
    async with (
        signed_in(url, http, talk.buyer_mail) as buyer,
        signed_in(url, http, talk.seller_mail, "msgpack") as seller,
    ):
        for person in (buyer, seller):
            await person.watch(talk.topic)
        acknowledged: dict[int, str] = {}
        async with asyncio.timeout(60):
            for number in range(40):
                sender = dice.choice((buyer, seller))
                sending = asyncio.create_task(sender.socket.send(talk.topic, f"{number}"))
                # Some cuts come before the message leaves, some between it and its answer.
                for _ in range(dice.randrange(4)):
                    await asyncio.sleep(0)
                if dice.random() < 0.5:
                    sender.socket.drop()
                if dice.random() < 0.3:
                    (seller if sender is buyer else buyer).socket.drop()
                posted = await sending
                acknowledged[posted.seq] = str(posted.client_id)
            await eventually(lambda: buyer.seqs == seller.seqs == list(range(1, 41)), within_s=20)
        page = await buyer.api.get(f"/v1/conversations/{talk.conversation}/messages", limit=100)
    assert buyer.socket.reconnects > 0
    stored = {entry["seq"]: entry["body"]["client_id"] for entry in page["items"]}
    assert stored == acknowledged
    for person in (buyer, seller):
        assert {event.seq: event.body["client_id"] for event in person.events} == acknowledged
        assert person.texts == [f"{number}" for number in range(40)]


async def test_messages_said_without_a_connection_leave_in_their_order_after_it_is_back(
    node: RunningNode, url: str, http: aiohttp.ClientSession
) -> None:
    talk = await start_talk(node)
    async with signed_in(url, http, talk.buyer_mail) as buyer:
        await buyer.watch(talk.topic)
        buyer.socket.drop()
        async with asyncio.timeout(15):
            places = await asyncio.gather(
                *(buyer.socket.send(talk.topic, f"{number}") for number in range(20))
            )
        assert [place.seq for place in places] == list(range(1, 21))
        await eventually(lambda: buyer.texts == [f"{number}" for number in range(20)])


async def test_a_restarted_node_is_found_again_and_nothing_is_missing(
    node_config: Config, http: aiohttp.ClientSession
) -> None:
    url = node_config.public_url
    async with open_node(node_config) as node:
        talk = await start_talk(node)
        watcher = signed_in(url, http, talk.seller_mail)
        seller = await watcher.__aenter__()
        await seller.watch(talk.topic)
        async with signed_in(url, http, talk.buyer_mail) as buyer:
            await buyer.socket.send(talk.topic, "before")
        await eventually(lambda: seller.seqs == [1])
    async with open_node(node_config):
        async with signed_in(url, http, talk.buyer_mail) as buyer, asyncio.timeout(15):
            await buyer.socket.send(talk.topic, "after")
        # The drained server asked its clients to come back within five seconds.
        await eventually(lambda: seller.texts == ["before", "after"], within_s=15)
        await watcher.__aexit__(None, None, None)


async def test_a_late_watcher_from_the_start_gets_the_whole_log(
    node: RunningNode, url: str, http: aiohttp.ClientSession
) -> None:
    talk = await start_talk(node)
    async with (
        signed_in(url, http, talk.buyer_mail) as buyer,
        signed_in(url, http, talk.seller_mail) as seller,
    ):
        for number in range(10):
            await buyer.socket.send(talk.topic, f"{number}")
        await seller.socket.watch(f"inbox:{seller.api.user}", lambda _event: None)
        await seller.watch(talk.topic, from_start=True)
        await eventually(lambda: seller.seqs == list(range(1, 11)))


async def test_somebody_elses_conversation_is_refused_and_the_socket_lives_on(
    node: RunningNode, url: str, http: aiohttp.ClientSession
) -> None:
    mine, others = await start_talk(node), await start_talk(node)
    async with signed_in(url, http, mine.buyer_mail) as buyer:
        with pytest.raises(SocketProblem) as refused:
            await buyer.watch(others.topic)
        assert not refused.value.retryable
        with pytest.raises(SocketProblem):
            await buyer.socket.send(others.topic, "Hello?")
        assert (await buyer.socket.send(mine.topic, "Hello!")).seq == 1


async def test_a_revoked_session_ends_the_socket_and_what_waits_for_it(
    node: RunningNode, url: str, http: aiohttp.ClientSession
) -> None:
    talk = await start_talk(node)
    async with signed_in(url, http, talk.buyer_mail) as buyer:
        session = (await buyer.api.get("/v1/me/sessions"))["items"][0]["id"]

        async def work(tx: Tx) -> bool:
            user = UserId(UUID(buyer.api.user))
            return await revoke_session(tx, user, SessionId(UUID(session)), "logout")

        assert await node.market.database.transact(work)
        await eventually(lambda: buyer.socket.close_code == 3503)


async def test_more_topics_than_one_connect_may_resume_survive_a_drop(
    node: RunningNode, url: str, http: aiohttp.ClientSession
) -> None:
    """A `connect` resumes `RESUME_TOPICS_MAX` topics at most; a busy seller watches more."""
    password_hash = await hash_password(PASSWORD)

    async def open_many(tx: Tx) -> tuple[str, list[str]]:
        seller, mail = await make_user(tx, "Seller", password_hash)
        shop = await make_shop(tx, seller)
        topics: list[str] = []
        for _ in range(RESUME_TOPICS_MAX + 1):
            buyer, _ = await make_user(tx, "Buyer")
            conversation = await open_conversation(tx, buyer, OpenConversation(shop=shop))
            topics.append(f"conversation:{conversation}")
        return mail, topics

    mail, topics = await node.market.database.transact(open_many)
    async with signed_in(url, http, mail) as seller:
        async with asyncio.timeout(40):
            for topic in topics:
                await seller.watch(topic)
        seller.socket.drop()
        async with asyncio.timeout(20):
            for topic in (topics[0], topics[-1]):
                assert (await seller.socket.send(topic, "Still here")).seq == 1
        await eventually(
            lambda: {event.topic for event in seller.events} == {topics[0], topics[-1]}
        )
