"""A socket that comes back to many topics."""

from __future__ import annotations

from uuid import uuid4

from redis.asyncio import Redis

from feira.app import RunningNode
from feira.platform.domain.topics import conversation_topic
from feira.services.messaging.conversations import OpenConversation, open_conversation
from feira.sql.database import Tx
from tests.integration.live import make_user
from tests.integration.sockets import connected, meet, opened, text_message

CONVERSATIONS = 30


async def test_many_topics_are_resumed_with_one_subscription_and_a_lost_right_keeps_none_out(
    node: RunningNode, redis_url: str
) -> None:
    meeting = await meet(node)

    async def open_more(tx: Tx) -> list[str]:
        wanted = OpenConversation(shop=meeting.talk.shop)
        buyers = [(await make_user(tx, "Buyer"))[0] for _ in range(CONVERSATIONS)]
        opened_now = [await open_conversation(tx, buyer, wanted) for buyer in buyers]
        return [str(conversation_topic(conversation)) for conversation in opened_now]

    topics = await node.market.database.transact(open_more)
    strange = f"conversation:{uuid4()}"
    async with opened(node) as seller:
        await connected(seller, meeting.seller)
        start = (await seller.ask(subscribe={"topic": meeting.topic}))["subscribe"]
        for topic in topics[:2]:
            await seller.ask(send=text_message(topic, "Bom dia"))
    seen = {"seq": 0, "epoch": start["epoch"]}
    before = await subscriptions(redis_url)
    async with opened(node) as seller:
        answer = await connected(seller, meeting.seller, **dict.fromkeys([*topics, strange], seen))
    # The node listens to the seller's inbox and to the first two already.
    assert await subscriptions(redis_url) - before == 1
    resumed = answer["topics"]
    assert resumed.pop(strange)["error"]["code"] == "topic.not_found"
    assert resumed.keys() == set(topics)
    assert all(body["recovered"] for body in resumed.values())
    assert [len(resumed[topic]["events"]) for topic in topics[:3]] == [1, 1, 0]


async def subscriptions(redis_url: str) -> int:
    """How many SUBSCRIBE commands the server was given."""
    async with Redis.from_url(redis_url) as client:
        stats = await client.info("commandstats")
    return stats.get("cmdstat_subscribe", {"calls": 0})["calls"]
