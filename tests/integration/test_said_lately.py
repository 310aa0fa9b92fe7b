"""Limits that hold over all nodes, and when people were here last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import uuid4

import pytest

from feira.actors.presence_store import open_presence_client
from feira.actors.said_lately import SaidLately
from feira.app import RunningNode
from feira.platform.domain.errors import TooMany
from feira.platform.domain.ids import ConversationId, UserId
from feira.platform.domain.spam import (
    LINKS_MAX,
    MESSAGES_MAX,
    NEW_CONVERSATIONS_MAX,
    SAME_TEXT_CONVERSATIONS_MAX,
)
from feira.platform.runtime.config import Config
from feira.platform.runtime.tasks import TaskOwner
from feira.services.messaging.conversations import OpenConversation, open_conversation
from feira.sql.database import Tx
from tests.integration.sockets import meet, opened

ADVERT = "Buy the best watches of the whole town at our own store!"
WITHIN_S = 15.0


async def becomes(true: Callable[[], Awaitable[bool]]) -> bool:
    ends_at = time.monotonic() + WITHIN_S
    while time.monotonic() < ends_at:
        if await true():
            return True
        await asyncio.sleep(0.05)
    return False


def refused_by(said: SaidLately, user: UserId, text: str) -> str | None:
    try:
        said.require_sane(user, text)
    except TooMany as error:
        return error.code if error.retry_after_s else "no hint when to come back"
    return None


async def test_the_same_text_everywhere_is_too_much_also_over_two_nodes(
    node_config: Config,
) -> None:
    client, tasks, user = open_presence_client(node_config.redis_url), TaskOwner(), UserId(uuid4())
    nodes = [SaidLately(client, tasks=tasks) for _ in range(2)]
    for number in range(SAME_TEXT_CONVERSATIONS_MAX):
        nodes[number % 2].said(user, ConversationId(uuid4()), ADVERT)
    home, stubborn = ConversationId(uuid4()), UserId(uuid4())
    for _ in range(2 * SAME_TEXT_CONVERSATIONS_MAX):
        nodes[0].said(stubborn, home, ADVERT)

    async def one_more_is_refused() -> bool:
        nodes[0].said(user, home, ADVERT.upper())
        return refused_by(nodes[0], user, ADVERT) == "message.same_text"

    assert await becomes(one_more_is_refused)
    assert refused_by(nodes[0], user, "Something else of about the same length, to be fair") is None
    # In one conversation it may be said on and on.
    assert refused_by(nodes[0], stubborn, ADVERT) is None
    await tasks.close()
    await client.aclose()


async def test_too_much_a_minute_is_refused_over_two_nodes(node_config: Config) -> None:
    client, tasks, user = open_presence_client(node_config.redis_url), TaskOwner(), UserId(uuid4())
    nodes = [SaidLately(client, tasks=tasks) for _ in range(2)]

    async def refused() -> bool:
        # However the minute ends in between: again, until one minute has seen too much.
        for number in range(MESSAGES_MAX // 2 + 1):
            nodes[number % 2].said(user, ConversationId(uuid4()), None)
        await asyncio.sleep(0.2)
        return all(refused_by(one, user, "Oi") == "message.too_fast" for one in nodes)

    assert await becomes(refused)
    await tasks.close()
    await client.aclose()


async def test_without_redis_everything_is_allowed() -> None:
    client, tasks, user = (
        open_presence_client("redis://127.0.0.1:1/0"),
        TaskOwner(),
        UserId(uuid4()),
    )
    said = SaidLately(client, tasks=tasks)
    for _ in range(SAME_TEXT_CONVERSATIONS_MAX + 1):
        said.said(user, ConversationId(uuid4()), ADVERT)
    await asyncio.sleep(0.5)
    assert refused_by(said, user, ADVERT) is None
    await tasks.close()
    await client.aclose()


async def test_a_list_of_links_is_refused_before_it_is_posted(node: RunningNode) -> None:
    meeting = await meet(node)
    links = " ".join(f"shop{number}.com" for number in range(LINKS_MAX + 1))
    async with opened(node) as buyer:
        await buyer.ask(connect={"token": meeting.buyer.token})
        send = {"topic": meeting.topic, "client_id": str(uuid4()), "text": links}
        answer = await buyer.ask(send=send)
        assert answer["error"]["code"] == "message.too_many_links"


async def test_new_conversations_are_counted_in_the_database(node: RunningNode) -> None:
    meeting = await meet(node)
    database, buyer = node.market.database, meeting.buyer.user
    async with database.connection() as con:
        await con.execute(
            "INSERT INTO conversations (dedup, shop_id, buyer_id)"
            " SELECT gen_random_uuid()::text, $1, $2 FROM generate_series(1, $3)",
            meeting.talk.shop,
            buyer,
            # With the one in which they met.
            NEW_CONVERSATIONS_MAX - 1,
        )
        other_shop = await con.fetchval(
            "INSERT INTO shops (owner_id, name, slug, country, currency, status)"
            " SELECT owner_id, name, gen_random_uuid()::text, country, currency, status FROM shops WHERE id = $1"
            " RETURNING id",
            meeting.talk.shop,
        )

    async def open_one(tx: Tx, shop: object) -> ConversationId:
        wanted = OpenConversation(shop=shop)  # pyright: ignore[reportArgumentType]
        return await open_conversation(tx, meeting.talk.buyer, wanted)

    with pytest.raises(TooMany) as caught:
        await database.transact(lambda tx: open_one(tx, other_shop))
    assert caught.value.code == "conversation.too_many_new"
    # What is open already is found as ever, and an hour later there is room again.
    assert await database.transact(lambda tx: open_one(tx, meeting.talk.shop))
    async with database.connection() as con:
        await con.execute(
            "UPDATE conversations SET created_at = created_at - interval '1 hour' WHERE buyer_id = $1",
            buyer,
        )
    assert await database.transact(lambda tx: open_one(tx, other_shop))


async def test_the_last_socket_that_goes_says_when_somebody_was_here(node: RunningNode) -> None:
    meeting = await meet(node)

    async def seen_at() -> datetime | None:
        async with node.market.database.connection() as con:
            return await con.fetchval(
                "SELECT last_seen_at FROM users WHERE id = $1", meeting.buyer.user
            )

    async def was_seen() -> bool:
        return await seen_at() is not None

    async with opened(node) as one:
        await one.ask(connect={"token": meeting.buyer.token})
        async with opened(node) as another:
            await another.ask(connect={"token": meeting.buyer.token})
        await asyncio.sleep(1.5)
        assert await seen_at() is None
    assert await becomes(was_seen)
