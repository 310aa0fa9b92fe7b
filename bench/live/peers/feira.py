"""Feira as it is shipped: `feira serve`, its limits, its database; members of conversations with tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import msgspec

import feira
from bench.live.kit import Kit
from bench.live.load.client import Dialect, Seat
from bench.live.peers.peer import Rooms, Running, count_rows
from bench.stage import free_port, make_principal, make_shop, run_server
from feira.app import Ground, open_ground
from feira.platform.domain.ids import ConversationId, ShopId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import conversation_topic
from feira.platform.runtime.config import Config
from feira.services.messaging.conversations import OpenConversation, open_conversation
from feira.services.users.sessions import open_session
from feira.sql.database import Tx
from feira.ws.server import SOCKET_PATH

_PEOPLE_PER_TRANSACTION: Final = 100
_ADD_MEMBERS: Final = """
INSERT INTO conversation_members (conversation_id, user_id, role)
SELECT $1::uuid, unnest($2::uuid[]), 'shop' ON CONFLICT DO NOTHING
"""


class _Person(msgspec.Struct, frozen=True, kw_only=True):
    principal: Principal
    token: str


class Feira:
    """A `Peer`."""

    name: str = "Feira"
    dialect: Dialect = "feira"
    keeps: bool = True
    can_cluster: bool = True

    async def obtain(self, kit: Kit) -> str:
        del kit
        return f"Feira {feira.__version__}"

    @asynccontextmanager
    async def open(self, stores: Config, rooms: Rooms) -> AsyncGenerator[Running]:
        configs = [on_port(stores, free_port()) for _ in range(rooms.nodes)]
        async with AsyncExitStack() as stack:
            nodes = [await stack.enter_async_context(run_server(config)) for config in configs]
            async with open_ground(configs[0]) as ground:
                topics = await _furnish(ground, rooms)
            seats = [
                Seat(
                    port=configs[rooms.node_of(member)].port,
                    room=room,
                    path=SOCKET_PATH,
                    credential=person.token,
                    topic=topic,
                )
                for room, (topic, people) in enumerate(topics)
                for member, person in enumerate(people)
            ]
            yield Running(seats=seats, nodes=nodes, ports=[config.port for config in configs])

    async def count_kept(self, stores: Config) -> int:
        return await count_rows(stores.postgres_dsn, "messages")


def on_port(stores: Config, port: int) -> Config:
    """The same market, served at another port."""
    return msgspec.structs.replace(stores, port=port, public_url=f"http://127.0.0.1:{port}")


async def _furnish(ground: Ground, rooms: Rooms) -> list[tuple[str, list[_Person]]]:
    """Make people and conversations of theirs with a shop, whose owner is a member too but is not there."""
    database = ground.market.database
    shop = await database.transact(make_shop)
    people: list[_Person] = []
    while len(people) < rooms.seats:
        wanted = min(_PEOPLE_PER_TRANSACTION, rooms.seats - len(people))
        people += await database.transact(lambda tx, n=wanted: _make_people(ground, tx, n))
    made: list[tuple[str, list[_Person]]] = []
    for room in range(rooms.count):
        members = people[room * rooms.members : (room + 1) * rooms.members]
        conversation = await database.transact(lambda tx, m=members: _make_room(tx, shop, m))
        made.append((str(conversation_topic(conversation)), members))
    return made


async def _make_people(ground: Ground, tx: Tx, count: int) -> list[_Person]:
    people: list[_Person] = []
    for _ in range(count):
        principal = await make_principal(tx)
        session = await open_session(tx, principal.user_id, user_agent="bench", address=None)
        token, _ = ground.market.tokens.issue(principal.user_id, session.session_id, tx.now)
        people.append(_Person(principal=principal, token=token))
    return people


async def _make_room(tx: Tx, shop: ShopId, members: list[_Person]) -> ConversationId:
    conversation = await open_conversation(tx, members[0].principal, OpenConversation(shop=shop))
    await tx.con.execute(
        _ADD_MEMBERS, conversation, [member.principal.user_id for member in members]
    )
    return conversation
