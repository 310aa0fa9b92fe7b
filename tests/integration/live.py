"""Two nodes on one database and one Valkey, and somebody who watches."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import msgspec

from feira.actors.frames import Encoding, Frame
from feira.actors.node import Node
from feira.actors.presence_store import open_presence_client
from feira.platform.domain.ids import ConversationId, SessionId, ShopId, UserId
from feira.platform.domain.permissions import Principal, Role
from feira.platform.domain.topics import Topic
from feira.platform.gateways.payments.objects import Account
from feira.platform.runtime.announcer import Announcer
from feira.platform.runtime.bus import Bus
from feira.platform.runtime.config import Config
from feira.services.messaging.conversations import OpenConversation, open_conversation
from feira.services.messaging.messages import NewMessage
from feira.services.users.accounts import create_user
from feira.services.users.shop_profiles import ApplyForShop, apply_for_shop
from feira.services.users.shops import decide, record_account
from feira.sql.database import Database, Tx, open_pool
from feira.sql.pulse import Pulse, asking

_numbers = itertools.count(1)


@dataclass(eq=False)
class Watching:
    """A watcher that keeps what it is pushed."""

    user_id: UserId
    encoding: Encoding = "json"
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    resyncs: list[Topic] = field(default_factory=list[Topic])
    lost: list[Topic] = field(default_factory=list[Topic])

    def push(self, frame: Frame) -> None:
        for line in frame.data.split(b"\n"):
            self.messages.append(msgspec.json.decode(line))

    def resync(self, topic: Topic) -> None:
        self.resyncs.append(topic)

    def lose(self, topic: Topic) -> None:
        self.lost.append(topic)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message[kind] for message in self.messages if kind in message]

    @property
    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.of("event")]


@dataclass(frozen=True)
class LiveNode:
    """One node's real-time half."""

    node: Node
    database: Database
    bus: Bus


@asynccontextmanager
async def live_node(
    config: Config, name: str, *, bus: Bus | None = None
) -> AsyncGenerator[LiveNode]:
    bus = bus or Bus(config.redis_url, "test")
    bus.start_publishing()
    announcer = Announcer(bus, name)
    pool = await open_pool(config.postgres_dsn, size_min=1, size_max=4)
    database = Database(
        pool,
        on_events=announcer.announce,
        on_jobs=lambda: None,
        on_passing=announcer.tell,
        pulse=Pulse(asking(config.postgres_dsn)),
    )
    client = open_presence_client(config.redis_url)
    node = Node(database=database, bus=bus, announcer=announcer, client=client)
    node.start()
    try:
        await eventually(lambda: bus.is_connected)
        yield LiveNode(node=node, database=database, bus=bus)
    finally:
        await node.close()
        await bus.close()
        await database.close()
        await client.aclose()


@dataclass(frozen=True)
class Talk:
    """A buyer and a seller with an open conversation."""

    conversation: ConversationId
    shop: ShopId
    buyer: Principal
    seller: Principal


async def open_talk(database: Database) -> Talk:
    async def work(tx: Tx) -> Talk:
        buyer, _ = await make_user(tx, "Buyer")
        seller, _ = await make_user(tx, "Seller")
        shop = await make_shop(tx, seller)
        conversation = await open_conversation(tx, buyer, OpenConversation(shop=shop))
        return Talk(conversation=conversation, shop=shop, buyer=buyer, seller=seller)

    return await database.transact(work)


async def make_user(tx: Tx, name: str, password_hash: str = "-") -> tuple[Principal, str]:
    """A verified user and their e-mail address."""
    email = f"{name.lower()}-{uuid4()}@example.com"
    user = await create_user(tx, email=email, password_hash=password_hash, display_name=name)
    roles: frozenset[Role] = frozenset({"anyone", "user", "verified"})
    return Principal(
        user_id=user, session_id=SessionId(uuid4()), display_name=name, roles=roles
    ), email


async def make_shop(tx: Tx, owner: Principal) -> ShopId:
    """A shop that passed the provider's check and an admin's."""
    shop = await apply_for_shop(
        tx, owner, ApplyForShop(name=f"Shop {next(_numbers)}", country="PT", currency="EUR")
    )
    await record_account(tx, shop.id, Account(reference=f"acct_{uuid4()}", status="verified"))
    admin = msgspec.structs.replace(owner, roles=owner.roles | {"admin"})
    await decide(tx, admin, shop.id, "approve", "A good neighbour.")
    return shop.id


def message(text: str = "Bom dia", client_id: UUID | None = None) -> NewMessage:
    return NewMessage(client_id=client_id or uuid4(), text=text)


async def eventually(condition: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Wait until something is true.

    Raises:
        TimeoutError: it never was.
    """
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)
