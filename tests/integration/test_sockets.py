"""Real sockets on a real node: signing in, chatting, resuming, and clients that misbehave."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import aiohttp
import msgspec
import pytest

from feira.actors.frames import PushFrames
from feira.app import RunningNode, open_node
from feira.platform.domain.topics import conversation_topic, inbox_topic
from feira.platform.runtime.config import Config
from feira.services.users.sessions import revoke_session
from feira.ws.close_codes import CloseCode
from feira.ws.limits import DEFAULT_LIMITS
from tests.integration.conftest import free_port
from tests.integration.live import eventually
from tests.integration.sockets import Meeting, connected, meet, opened, text_message


@pytest.fixture
async def meeting(node: RunningNode) -> Meeting:
    return await meet(node)


@pytest.mark.parametrize(("mine", "theirs"), [("json", "msgpack"), ("msgpack", "json")])
async def test_two_people_chat_in_either_encoding(
    node: RunningNode, meeting: Meeting, mine: str, theirs: str
) -> None:
    async with opened(node, mine) as buyer, opened(node, theirs) as seller:
        await connected(buyer, meeting.buyer)
        await connected(seller, meeting.seller)
        for client in (buyer, seller):
            subscribed = await client.ask(subscribe={"topic": meeting.topic})
            assert subscribed["subscribe"]["seq"] == 0
        sent = text_message(meeting.topic, "Ainda está disponível?")
        acknowledged = await buyer.ask(send=sent)
        assert acknowledged["ok"]["seq"] == 1
        seen, own = await seller.event(1), await buyer.event(1)
        assert seen == own
        assert seen["body"] == {
            "kind": "message",
            "sender": str(meeting.buyer.user),
            "client_id": sent["client_id"],
            "text": "Ainda está disponível?",
        }
        assert (await buyer.ask(send=sent))["ok"]["seq"] == 1
        await seller.ask(read={"topic": meeting.topic, "seq": 1})
        cursor = await buyer.until(
            lambda message: message.get("cursor", {}).get("user") == str(meeting.seller.user)
        )
        assert cursor["cursor"]["read_seq"] == 1


async def test_a_connect_replays_what_was_missed(node: RunningNode, meeting: Meeting) -> None:
    async with opened(node) as seller:
        await connected(seller, meeting.seller)
        start = (await seller.ask(subscribe={"topic": meeting.topic}))["subscribe"]
    async with opened(node) as buyer:
        await connected(buyer, meeting.buyer)
        for number in range(3):
            await buyer.ask(send=text_message(meeting.topic, f"{number}"))
    async with opened(node) as seller:
        resumed = await connected(
            seller, meeting.seller, **{meeting.topic: {"seq": 0, "epoch": start["epoch"]}}
        )
    topic = resumed["topics"][meeting.topic]
    assert topic["recovered"]
    assert [event["body"]["text"] for event in topic["events"]] == ["0", "1", "2"]


async def test_other_peoples_topics_are_not_there(node: RunningNode, meeting: Meeting) -> None:
    async with opened(node) as buyer:
        await connected(buyer, meeting.buyer)
        for topic in (
            f"conversation:{uuid4()}",
            f"order:{uuid4()}",
            str(inbox_topic(meeting.seller.user)),
            f"shop:{meeting.talk.shop}",
            "ops",
        ):
            answer = await buyer.ask(subscribe={"topic": topic})
            assert answer["error"]["code"] == "topic.not_found", topic
        answer = await buyer.ask(send=text_message(f"conversation:{uuid4()}", "hello?"))
        assert answer["error"]["code"] == "conversation.not_found"


@pytest.mark.parametrize("token", ["", "x.y.z", "eyJhbGciOiJub25lIn0.e30."])
async def test_a_bad_token_ends_the_socket(node: RunningNode, token: str) -> None:
    async with opened(node) as client:
        answer = await client.ask(connect={"token": token})
        assert answer["error"]["code"] == "auth.token_invalid"
        assert await client.closed() == CloseCode.BAD_TOKEN


async def test_nothing_works_before_connect(node: RunningNode, meeting: Meeting) -> None:
    async with opened(node) as client:
        answer = await client.ask(subscribe={"topic": meeting.topic})
        assert answer["error"]["code"] == "socket.not_connected"


async def test_a_revoked_session_is_closed_at_once_and_others_stay(
    node: RunningNode, meeting: Meeting
) -> None:
    async with opened(node) as ended, opened(node) as other:
        await connected(ended, meeting.buyer)
        await connected(other, meeting.seller)
        await node.market.database.transact(
            lambda tx: revoke_session(tx, meeting.buyer.user, meeting.buyer.session, "revoked")
        )
        assert await ended.closed() == CloseCode.SESSION_ENDED
        assert "ok" in await other.ask(ping={})


@pytest.mark.parametrize("garbage", ["{", '{"id":1,"send":', "\x00\x01", "hello"])
async def test_a_malformed_frame_ends_only_its_own_socket(
    node: RunningNode, meeting: Meeting, garbage: str
) -> None:
    async with opened(node) as wild, opened(node) as calm:
        await connected(wild, meeting.buyer)
        await connected(calm, meeting.seller)
        await wild.socket.send_str(garbage)
        assert await wild.closed() == CloseCode.BAD_REQUEST
        assert "ok" in await calm.ask(ping={})


async def test_an_oversized_frame_is_refused(node: RunningNode, meeting: Meeting) -> None:
    async with opened(node) as client:
        await connected(client, meeting.buyer)
        await client.socket.send_str("x" * (DEFAULT_LIMITS.message_bytes_max + 1))
        assert await client.closed() == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_a_flood_is_slowed_down_and_then_ended(node: RunningNode, meeting: Meeting) -> None:
    async with opened(node) as flood:
        await connected(flood, meeting.buyer)
        for _ in range(30):
            await flood.socket.send_str("\n".join(['{"id":1,"ping":{}}'] * 50))
        assert await flood.closed() == CloseCode.RATE_LIMITED
    refused = [message for message in flood.received if "error" in message]
    assert refused[0]["error"]["code"] == "socket.rate_limited"
    assert refused[0]["error"]["retry_after"] > 0


async def test_a_stalled_client_is_cut_off_and_its_neighbour_is_served(
    node: RunningNode, meeting: Meeting
) -> None:
    async with opened(node) as stalled, opened(node) as buyer:
        await connected(stalled, meeting.seller)
        await connected(buyer, meeting.buyer)
        stalled.socket._conn.transport.pause_reading()  # type: ignore[union-attr]
        [session] = [one for one in node.sockets.sessions if one.user_id == meeting.seller.user]
        piece = PushFrames({"news": "x" * 60_000}).encoded("json")
        # The kernel's buffers take a few megabytes before our own queue fills, and then it is enough.
        for number in range(1_000):
            session.push(piece)
            if number % 25 == 0:
                assert "ok" in await buyer.ask(ping={})
        await eventually(lambda: session not in node.sockets.sessions)
        assert "ok" in await buyer.ask(ping={})


async def test_draining_asks_clients_to_come_back_and_another_node_has_everything(
    node: RunningNode, node_config: Config, meeting: Meeting
) -> None:
    async with opened(node) as seller:
        await connected(seller, meeting.seller)
        start = (await seller.ask(subscribe={"topic": meeting.topic}))["subscribe"]
        other_config = msgspec.structs.replace(node_config, port=free_port(), node_name="other")
        async with open_node(other_config) as other:
            draining = asyncio.create_task(node.sockets.drain(within_s=1))
            goodbye = await seller.until(lambda message: "disconnect" in message)
            assert goodbye["disconnect"]["code"] == CloseCode.DRAINING
            assert goodbye["disconnect"]["retry_ms"][1] > 0
            assert await seller.closed() == CloseCode.DRAINING
            await draining
            async with opened(other) as buyer:
                await connected(buyer, meeting.buyer)
                await buyer.ask(send=text_message(meeting.topic, "meanwhile"))
            async with opened(other) as back:
                resume = {meeting.topic: {"seq": start["seq"], "epoch": start["epoch"]}}
                resumed = await connected(back, meeting.seller, **resume)
                assert [event["seq"] for event in resumed["topics"][meeting.topic]["events"]] == [1]


async def test_nothing_is_left_of_sockets_that_went_away(
    node: RunningNode, meeting: Meeting
) -> None:
    for _ in range(10):
        async with opened(node) as client:
            await connected(client, meeting.buyer)
            await client.ask(subscribe={"topic": meeting.topic})
    await eventually(lambda: not node.sockets.sessions)
    node.node.passivate(older_than_s=0)
    assert not node.node.is_active(conversation_topic(meeting.talk.conversation))
