"""The node's writer: many conversations in one commit, everybody answered, nobody spoilt by a neighbour."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from feira.actors.group_commit import WAITING_IN_CONVERSATION_MAX
from feira.platform.domain.errors import FeiraError, NotFound, Unavailable
from feira.platform.domain.ids import ConversationId
from feira.platform.domain.topics import conversation_topic
from feira.platform.runtime.config import Config
from feira.services.messaging.messages import Outgoing, PostedMessage, post_messages
from tests.integration.live import (
    LiveNode,
    Talk,
    Watching,
    eventually,
    live_node,
    message,
    open_talk,
)

CONVERSATIONS = 12
EACH = 15
LONE_SURROGATE = "\ud800"


@pytest.fixture
async def nodes(config: Config) -> AsyncIterator[tuple[LiveNode, LiveNode]]:
    async with live_node(config, "node-a") as one, live_node(config, "node-b") as other:
        yield one, other


@pytest.fixture
async def talks(nodes: tuple[LiveNode, LiveNode]) -> list[Talk]:
    return [await open_talk(nodes[0].database) for _ in range(CONVERSATIONS)]


async def test_two_nodes_fill_many_conversations_without_holes_and_in_each_sender_s_order(
    nodes: tuple[LiveNode, LiveNode], talks: list[Talk]
) -> None:
    watching = {talk.conversation: Watching(talk.seller.user_id) for talk in talks}
    for talk in talks:
        topic = conversation_topic(talk.conversation)
        await nodes[1].node.subscribe(topic, watching[talk.conversation], None)
    answers: dict[ConversationId, list[PostedMessage | FeiraError]] = defaultdict(list)
    for number in range(EACH):
        for talk in talks:
            # The buyer on one node, the seller on the other, at once.
            for node, who in ((nodes[0], talk.buyer), (nodes[1], talk.seller)):
                node.node.post_message_soon(
                    who,
                    talk.conversation,
                    message(f"{who.display_name} {number}"),
                    answers[talk.conversation].append,
                )
    await eventually(lambda: all(len(watch.seqs) == 2 * EACH for watch in watching.values()))
    for talk in talks:
        places = [place for place in answers[talk.conversation] if isinstance(place, PostedMessage)]
        assert sorted(place.seq for place in places) == list(range(1, 2 * EACH + 1))
        assert watching[talk.conversation].seqs == list(range(1, 2 * EACH + 1))
        texts = [event["body"]["text"] for event in watching[talk.conversation].of("event")]
        for name in ("Buyer", "Seller"):
            said = [text for text in texts if text.startswith(name)]
            assert said == [f"{name} {number}" for number in range(EACH)]


async def test_a_message_that_cannot_be_stored_does_not_fail_its_neighbours(
    nodes: tuple[LiveNode, LiveNode], talks: list[Talk]
) -> None:
    stranger = talks[1].buyer
    outcomes = await asyncio.gather(
        nodes[0].node.post_message(talks[0].buyer, talks[0].conversation, message("before")),
        nodes[0].node.post_message(talks[0].buyer, talks[0].conversation, message(LONE_SURROGATE)),
        nodes[0].node.post_message(stranger, talks[0].conversation, message("not mine")),
        nodes[0].node.post_message(talks[0].seller, talks[0].conversation, message("after")),
        nodes[0].node.post_message(talks[1].buyer, talks[1].conversation, message("elsewhere")),
        return_exceptions=True,
    )
    before, unstorable, not_mine, after, elsewhere = outcomes
    assert isinstance(unstorable, Unavailable)
    assert unstorable.code == "actor.restarted"
    assert isinstance(not_mine, NotFound)
    assert isinstance(before, PostedMessage)
    assert isinstance(after, PostedMessage)
    assert isinstance(elsewhere, PostedMessage)
    assert (before.seq, after.seq, elsewhere.seq) == (1, 2, 1)


async def test_one_statement_tells_the_new_from_the_known_and_the_foreign(
    nodes: tuple[LiveNode, LiveNode], talks: list[Talk]
) -> None:
    mine, theirs = talks[:2]
    known, fresh, foreign = message("known"), message("fresh"), message("foreign")
    async with nodes[0].database.connection() as con:
        first = Outgoing(conversation=mine.conversation, sender=mine.buyer.user_id, message=known)
        await post_messages(con, [first])
        posted = await post_messages(
            con,
            [
                Outgoing(
                    conversation=theirs.conversation, sender=mine.buyer.user_id, message=foreign
                ),
                first,
                Outgoing(conversation=mine.conversation, sender=mine.seller.user_id, message=fresh),
                first,
            ],
        )
    assert list(posted) == [mine.conversation]
    places = posted[mine.conversation].places
    assert places[mine.buyer.user_id, known.client_id].seq == 1
    assert places[mine.seller.user_id, fresh.client_id].seq == 2
    assert [event.seq for event in posted[mine.conversation].events] == [2]


async def test_a_conversation_with_too_much_waiting_refuses_more_and_keeps_what_it_accepted(
    nodes: tuple[LiveNode, LiveNode], talks: list[Talk]
) -> None:
    answers: list[PostedMessage | FeiraError] = []

    def post() -> None:
        nodes[0].node.post_message_soon(
            talks[0].buyer, talks[0].conversation, message(), answers.append
        )

    for _ in range(WAITING_IN_CONVERSATION_MAX):
        post()
    with pytest.raises(Unavailable, match=r"actor\.overloaded"):
        post()
    await eventually(lambda: len(answers) == WAITING_IN_CONVERSATION_MAX)
    assert all(isinstance(answer, PostedMessage) for answer in answers)
    unwatched = ConversationId(uuid4())
    with pytest.raises(NotFound):
        await nodes[0].node.post_message(talks[0].buyer, unwatched, message())
