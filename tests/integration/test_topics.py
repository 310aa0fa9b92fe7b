"""Topic actors on two nodes: order, replay, gaps, group commit, cursors, presence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from feira.actors.mail import Position
from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import SessionId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import REPLAY_EVENTS_MAX, conversation_topic, inbox_topic
from feira.platform.runtime.config import Config
from feira.services.messaging.history import read_history
from feira.services.messaging.messages import WantedCursor
from tests.integration.live import (
    LiveNode,
    Talk,
    Watching,
    eventually,
    live_node,
    message,
    open_talk,
)


@pytest.fixture
async def nodes(config: Config) -> AsyncIterator[tuple[LiveNode, LiveNode]]:
    async with live_node(config, "node-a") as one, live_node(config, "node-b") as other:
        yield one, other


@pytest.fixture
async def talk(nodes: tuple[LiveNode, LiveNode]) -> Talk:
    return await open_talk(nodes[0].database)


async def test_watchers_on_both_nodes_get_the_same_messages_once_and_in_order(
    nodes: tuple[LiveNode, LiveNode], talk: Talk
) -> None:
    one, other = nodes
    topic = conversation_topic(talk.conversation)
    buyer, seller = Watching(talk.buyer.user_id), Watching(talk.seller.user_id)
    await one.node.subscribe(topic, buyer, None)
    await other.node.subscribe(topic, seller, None)
    posts = [
        nodes[n % 2].node.post_message(
            talk.buyer if n % 2 == 0 else talk.seller, talk.conversation, message(f"{n}")
        )
        for n in range(60)
    ]
    posted = await asyncio.gather(*posts)
    assert sorted(place.seq for place in posted) == list(range(1, 61))
    await eventually(lambda: len(buyer.seqs) == 60 and len(seller.seqs) == 60)
    assert buyer.seqs == seller.seqs == list(range(1, 61))
    assert [event["body"] for event in buyer.of("event")] == [
        event["body"] for event in seller.of("event")
    ]


async def test_a_resent_message_is_there_once_whichever_node_it_goes_to(
    nodes: tuple[LiveNode, LiveNode], talk: Talk
) -> None:
    said = message("Ainda tem?")
    places = await asyncio.gather(
        *(nodes[n % 2].node.post_message(talk.buyer, talk.conversation, said) for n in range(20))
    )
    assert {place.seq for place in places} == {1}
    async with nodes[0].database.connection() as con:
        page = await read_history(con, talk.buyer.user_id, talk.conversation, before=None, limit=10)
    assert [entry.seq for entry in page.items] == [1]


async def test_whoever_was_away_gets_exactly_what_was_missed(
    nodes: tuple[LiveNode, LiveNode], talk: Talk
) -> None:
    one, other = nodes
    topic = conversation_topic(talk.conversation)
    first = await one.node.subscribe(topic, Watching(talk.seller.user_id), None)
    for n in range(5):
        await one.node.post_message(talk.buyer, talk.conversation, message(f"{n}"))
    back = Watching(talk.seller.user_id)
    resumed = await other.node.subscribe(topic, back, Position(seq=2, epoch=first.epoch))
    assert resumed.recovered
    assert [event.seq for event in resumed.events] == [3, 4, 5]
    await one.node.post_message(talk.buyer, talk.conversation, message("live again"))
    await eventually(lambda: back.seqs == [6])


@pytest.mark.parametrize(
    "reason", ["too much was missed", "another epoch", "a position of the future"]
)
async def test_a_position_that_cannot_be_resumed_says_so(
    nodes: tuple[LiveNode, LiveNode], talk: Talk, reason: str
) -> None:
    one, _ = nodes
    count = REPLAY_EVENTS_MAX + 1 if reason == "too much was missed" else 3
    await asyncio.gather(
        *(
            one.node.post_message(talk.buyer, talk.conversation, message(f"{n}"))
            for n in range(count)
        )
    )
    topic = conversation_topic(talk.conversation)
    now = await one.node.subscribe(topic, Watching(talk.buyer.user_id), None)
    position = {
        "too much was missed": Position(seq=0, epoch=now.epoch),
        "another epoch": Position(seq=1, epoch="restored"),
        "a position of the future": Position(seq=count + 5, epoch=now.epoch),
    }[reason]
    resumed = await one.node.subscribe(topic, Watching(talk.seller.user_id), position)
    assert (resumed.recovered, resumed.seq, resumed.events) == (False, count, [])


async def test_a_lost_bus_message_is_read_from_postgres_with_the_next_one(
    nodes: tuple[LiveNode, LiveNode], talk: Talk
) -> None:
    one, other = nodes
    topic = conversation_topic(talk.conversation)
    far = Watching(talk.seller.user_id)
    await other.node.subscribe(topic, far, None)
    other.bus.unwatch([str(topic)])
    await one.node.post_message(talk.buyer, talk.conversation, message("lost on the way"))
    await other.bus.watch([str(topic)])
    await one.node.post_message(talk.buyer, talk.conversation, message("arrives"))
    await eventually(lambda: far.seqs == [1, 2])


async def test_a_lost_last_message_is_found_by_the_top_check(
    nodes: tuple[LiveNode, LiveNode], talk: Talk
) -> None:
    one, other = nodes
    topic = conversation_topic(talk.conversation)
    far = Watching(talk.seller.user_id)
    await other.node.subscribe(topic, far, None)
    other.bus.unwatch([str(topic)])
    await one.node.post_message(talk.buyer, talk.conversation, message("the last one, lost"))
    await eventually(lambda: far.seqs == [1])


async def test_strangers_cannot_post(nodes: tuple[LiveNode, LiveNode], talk: Talk) -> None:
    stranger = Principal(
        user_id=(await open_talk(nodes[0].database)).buyer.user_id,
        session_id=SessionId(uuid4()),
        display_name="Stranger",
        roles=frozenset({"anyone", "user", "verified"}),
    )
    with pytest.raises(NotFound):
        await nodes[0].node.post_message(stranger, talk.conversation, message())


async def test_unread_counts_reach_every_device_of_a_member(
    nodes: tuple[LiveNode, LiveNode], talk: Talk
) -> None:
    one, other = nodes
    devices = [Watching(talk.seller.user_id), Watching(talk.seller.user_id)]
    await one.node.subscribe(inbox_topic(talk.seller.user_id), devices[0], None)
    await other.node.subscribe(inbox_topic(talk.seller.user_id), devices[1], None)
    for n in range(3):
        await one.node.post_message(talk.buyer, talk.conversation, message(f"{n}"))
    await eventually(
        lambda: all(
            device.of("unread")[-1:] and device.of("unread")[-1]["unread"] == 3
            for device in devices
        )
    )
    await other.node.move_cursor(
        talk.conversation, WantedCursor(user_id=talk.seller.user_id, read_seq=2)
    )
    await eventually(lambda: all(device.of("unread")[-1]["unread"] == 1 for device in devices))


async def test_cursors_only_move_forward_and_never_past_the_head(
    nodes: tuple[LiveNode, LiveNode], talk: Talk
) -> None:
    one, other = nodes
    topic = conversation_topic(talk.conversation)
    buyer = Watching(talk.buyer.user_id)
    await one.node.subscribe(topic, buyer, None)
    for n in range(3):
        await one.node.post_message(talk.buyer, talk.conversation, message(f"{n}"))
    for seq in (2, 1, 900):
        await other.node.move_cursor(
            talk.conversation, WantedCursor(user_id=talk.seller.user_id, read_seq=seq)
        )
    await eventually(lambda: [cursor["read_seq"] for cursor in buyer.of("cursor")] == [2, 3])


async def test_typing_reaches_the_others_but_not_oneself(
    nodes: tuple[LiveNode, LiveNode], talk: Talk
) -> None:
    one, other = nodes
    topic = conversation_topic(talk.conversation)
    buyer, seller = Watching(talk.buyer.user_id), Watching(talk.seller.user_id)
    await one.node.subscribe(topic, buyer, None)
    await other.node.subscribe(topic, seller, None)
    one.node.typing(talk.buyer, talk.conversation)
    await eventually(
        lambda: [typing["user"] for typing in seller.of("typing")] == [str(talk.buyer.user_id)]
    )
    assert buyer.of("typing") == []


async def test_presence_is_seen_across_nodes(nodes: tuple[LiveNode, LiveNode], talk: Talk) -> None:
    one, other = nodes
    topic = conversation_topic(talk.conversation)
    buyer, seller = Watching(talk.buyer.user_id), Watching(talk.seller.user_id)
    await one.node.subscribe(topic, buyer, None)
    await other.node.subscribe(topic, seller, None)
    came = {"topic": str(topic), "user": str(talk.seller.user_id), "online": True}
    await eventually(lambda: came in buyer.of("presence"))
    late = await one.node.subscribe(topic, Watching(talk.buyer.user_id), None)
    assert talk.seller.user_id in late.state["online"]  # type: ignore[operator]
    other.node.unsubscribe(topic, seller)
    await eventually(lambda: {**came, "online": False} in buyer.of("presence"))


async def test_idle_actors_are_put_away_and_come_back(
    nodes: tuple[LiveNode, LiveNode], talk: Talk
) -> None:
    one, _ = nodes
    topic = conversation_topic(talk.conversation)
    watcher = Watching(talk.buyer.user_id)
    await one.node.subscribe(topic, watcher, None)
    one.node.passivate(older_than_s=0)
    assert one.node.is_active(topic)
    one.node.unsubscribe(topic, watcher)
    one.node.passivate(older_than_s=0)
    assert not one.node.is_active(topic)
    assert (await one.node.post_message(talk.buyer, talk.conversation, message())).seq == 1
