"""The socket's fallback over plain HTTP: the same session behind a stream and posts, on whatever node they land."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
import pytest

from feira.actors.frames import PushFrames
from feira.app import RunningNode, open_node
from feira.platform.runtime.config import Config
from feira.services.users.sessions import revoke_session
from feira.ws.close_codes import CloseCode
from feira.ws.limits import DEFAULT_LIMITS, SocketLimits
from tests.integration.conftest import free_port
from tests.integration.live import eventually
from tests.integration.sockets import (
    Meeting,
    StreamClient,
    connected,
    meet,
    opened,
    streaming,
    text_message,
)


@pytest.fixture
async def meeting(node: RunningNode) -> Meeting:
    return await meet(node)


@pytest.fixture
async def other(node: RunningNode, node_config: Config) -> AsyncIterator[RunningNode]:
    """A second node of the same market."""
    config = msgspec.structs.replace(node_config, port=free_port(), node_name="other")
    async with open_node(config) as running:
        yield running


async def test_what_is_posted_to_one_node_reaches_a_stream_on_another_and_a_socket(
    node: RunningNode, other: RunningNode, meeting: Meeting
) -> None:
    async with (
        streaming(node, meeting.buyer, posting_to=other) as buyer,
        opened(other) as seller,
    ):
        hello = await buyer.connect(token=meeting.buyer.token)
        assert hello["connect"]["user"] == str(meeting.buyer.user)
        await connected(seller, meeting.seller)
        # The buyer's subscription is posted to the other node and answered on the stream.
        subscribed = await buyer.ask(subscribe={"topic": meeting.topic})
        assert subscribed["subscribe"]["seq"] == 0
        await seller.ask(subscribe={"topic": meeting.topic})
        sent = text_message(meeting.topic, "Ainda está disponível?")
        assert (await buyer.ask(send=sent))["ok"]["seq"] == 1
        assert await buyer.event(1) == await seller.event(1)
        assert (await buyer.ask(send=sent))["ok"]["seq"] == 1
        assert (await seller.ask(send=text_message(meeting.topic, "Está")))["ok"]["seq"] == 2
        assert (await buyer.event(2))["body"]["text"] == "Está"
        await buyer.ask(read={"topic": meeting.topic, "seq": 2})
        cursor = await seller.until(
            lambda message: message.get("cursor", {}).get("user") == str(meeting.buyer.user)
        )
        assert cursor["cursor"]["read_seq"] == 2
        await buyer.say(typing={"topic": meeting.topic})
        assert await seller.until(lambda message: "typing" in message)
        assert "ok" in await buyer.ask(unsubscribe={"topic": meeting.topic})
        await seller.ask(send=text_message(meeting.topic, "Alô?"))
        position = {"seq": 2, "epoch": subscribed["subscribe"]["epoch"]}
        missed = await buyer.ask(subscribe={"topic": meeting.topic, **position})
        assert [event["seq"] for event in missed["subscribe"]["events"]] == [3]
        assert not [message for message in buyer.received if "event" in message]


async def test_a_cut_stream_resumes_on_another_node_and_misses_nothing(
    node: RunningNode, other: RunningNode, meeting: Meeting
) -> None:
    async with streaming(node, meeting.seller) as seller:
        await seller.connect(token=meeting.seller.token)
        start = (await seller.ask(subscribe={"topic": meeting.topic}))["subscribe"]
    async with opened(node) as buyer:
        await connected(buyer, meeting.buyer)
        for number in range(3):
            await buyer.ask(send=text_message(meeting.topic, f"{number}"))
    async with streaming(other, meeting.seller) as seller:
        position = {"seq": 0, "epoch": start["epoch"]}
        resumed = await seller.connect(token=meeting.seller.token, resume={meeting.topic: position})
        topic = resumed["connect"]["topics"][meeting.topic]
        assert [event["body"]["text"] for event in topic["events"]] == ["0", "1", "2"]


async def test_a_topic_may_be_resumed_from_now_on(node: RunningNode, meeting: Meeting) -> None:
    async with streaming(node, meeting.seller) as seller, opened(node) as buyer:
        await connected(buyer, meeting.buyer)
        await buyer.ask(send=text_message(meeting.topic, "before"))
        answer = await seller.connect(token=meeting.seller.token, resume={meeting.topic: {}})
        topic = answer["connect"]["topics"][meeting.topic]
        assert (topic["recovered"], topic["seq"], topic["events"]) == (True, 1, [])
        await buyer.ask(send=text_message(meeting.topic, "after"))
        assert (await seller.event(2))["body"]["text"] == "after"


async def test_one_post_holds_many_commands_and_answers_each(
    node: RunningNode, meeting: Meeting
) -> None:
    frame = b"\n".join(
        msgspec.json.encode({"id": number, "send": text_message(meeting.topic, f"{number}")})
        for number in range(20)
    )
    async with post(node, meeting.buyer.token, frame + b'\n{"id":20,"shout":{}}') as answer:
        answers = [msgspec.json.decode(line) for line in (await answer.read()).splitlines()]
    by_id = {one["id"]: one for one in answers}
    assert [by_id[number]["ok"]["seq"] for number in range(20)] == list(range(1, 21))
    assert by_id[20]["error"]["code"] == "request.invalid"


def post(node: RunningNode, token: str | None, body: bytes, **query: str) -> Any:
    return _Posting(node, token, body, query)


class _Posting:
    def __init__(
        self, node: RunningNode, token: str | None, body: bytes, query: dict[str, str]
    ) -> None:
        self._url = f"http://127.0.0.1:{node.port}/v1/socket/commands"
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._body, self._query = body, query

    async def __aenter__(self) -> aiohttp.ClientResponse:
        self._http = aiohttp.ClientSession()
        return await self._http.post(
            self._url, data=self._body, headers=self._headers, params=self._query
        )

    async def __aexit__(self, *_exc: object) -> None:
        await self._http.close()


@pytest.mark.parametrize(
    ("body", "query", "status", "code"),
    [
        (b'{"id":1,"ping":', {}, 400, "request.malformed_json"),
        (b'{"ping":{}}\n' * 65, {}, 400, "request.malformed_json"),
        (b" " * (DEFAULT_LIMITS.message_bytes_max + 1), {}, 413, "request.too_large"),
        (b'{"ping":{}}', {"stream": "mine"}, 400, "socket.stream_malformed"),
    ],
)
async def test_a_post_that_is_no_frame_is_a_problem(
    node: RunningNode, meeting: Meeting, body: bytes, query: dict[str, str], status: int, code: str
) -> None:
    async with post(node, meeting.buyer.token, body, **query) as answer:
        assert (answer.status, (await answer.json())["code"]) == (status, code)


@pytest.mark.parametrize(("token", "code"), [(None, "auth.required"), ("x", "auth.token_invalid")])
async def test_a_post_needs_a_token(node: RunningNode, token: str | None, code: str) -> None:
    async with post(node, token, b'{"ping":{}}') as answer:
        assert (answer.status, (await answer.json())["code"]) == (401, code)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"subscribe": {"topic": "ops"}}, "socket.stream_required"),
        ({"connect": {"token": "x"}}, "socket.connect_opens_a_stream"),
    ],
)
async def test_what_is_about_a_stream_is_refused_without_one(
    node: RunningNode, meeting: Meeting, command: dict[str, Any], code: str
) -> None:
    body = msgspec.json.encode({"id": 1} | command)
    async with post(node, meeting.buyer.token, body) as answer:
        assert msgspec.json.decode(await answer.read())["error"]["code"] == code


async def test_nobody_else_reaches_a_stream(node: RunningNode, meeting: Meeting) -> None:
    async with streaming(node, meeting.buyer) as buyer:
        await buyer.connect(token=meeting.buyer.token)
        command = {"id": 7, "subscribe": {"topic": f"conversation:{meeting.talk.conversation}"}}
        async with post(
            node, meeting.seller.token, msgspec.json.encode(command), stream=buyer.stream_id
        ) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        # What was posted before this would have been answered before this.
        await buyer.ask(unsubscribe={"topic": meeting.topic})
        assert not [message for message in buyer.received if message.get("id") == 7]


@pytest.mark.parametrize("token", ["", "x.y.z"])
async def test_a_bad_token_ends_the_stream_with_the_sockets_code(
    node: RunningNode, meeting: Meeting, token: str
) -> None:
    async with streaming(node, meeting.buyer) as client:
        answer = await client.connect(token=token)
        assert answer["error"]["code"] == "auth.token_invalid"
        assert await client.closed() == CloseCode.BAD_TOKEN
        assert client.answer is not None
        # The end is orderly: the last chunk came.
        assert client.answer.content.exception() is None


async def test_a_stream_whose_session_is_revoked_on_another_node_ends_at_once(
    node: RunningNode, other: RunningNode, meeting: Meeting
) -> None:
    async with streaming(node, meeting.buyer) as ended:
        await ended.connect(token=meeting.buyer.token)
        await other.market.database.transact(
            lambda tx: revoke_session(tx, meeting.buyer.user, meeting.buyer.session, "revoked")
        )
        assert await ended.closed() == CloseCode.SESSION_ENDED


async def test_a_silent_stream_is_kept_open_by_comments(node_config: Config) -> None:
    limits = SocketLimits(ping_every_s=0.1, tick_s=0.05)
    async with open_node(node_config, socket_limits=limits) as node:
        meeting = await meet(node)
        async with streaming(node, meeting.buyer) as client:
            await client.connect(token=meeting.buyer.token)
            assert client.answer is not None
            async with asyncio.timeout(10):
                while await client.answer.content.readline() != b":\n":
                    pass


async def test_a_stalled_stream_is_cut_off_and_its_neighbour_is_served(
    node: RunningNode, meeting: Meeting
) -> None:
    async with streaming(node, meeting.seller) as stalled, opened(node) as buyer:
        await stalled.connect(token=meeting.seller.token)
        await connected(buyer, meeting.buyer)
        stall(stalled)
        [session] = [one for one in node.sockets.sessions if one.user_id == meeting.seller.user]
        piece = PushFrames({"news": "x" * 60_000}).encoded("json")
        for number in range(1_000):
            session.push(piece)
            if number % 25 == 0:
                assert "ok" in await buyer.ask(ping={})
        await eventually(lambda: session not in node.sockets.sessions)
        assert "ok" in await buyer.ask(ping={})


def stall(client: StreamClient) -> None:
    assert client.answer is not None
    connection = client.answer.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.pause_reading()


async def test_nothing_is_left_of_streams_that_went_away(
    node: RunningNode, meeting: Meeting
) -> None:
    for _ in range(5):
        async with streaming(node, meeting.buyer) as client:
            await client.connect(token=meeting.buyer.token)
            await client.ask(subscribe={"topic": meeting.topic})
    await eventually(lambda: not node.sockets.sessions)
    await eventually(lambda: len(node.sockets.tasks) == 2)


async def test_draining_ends_streams_with_a_hint(node: RunningNode, meeting: Meeting) -> None:
    async with streaming(node, meeting.buyer) as client:
        await client.connect(token=meeting.buyer.token)
        draining = asyncio.create_task(node.sockets.drain(within_s=1))
        goodbye = await client.until(lambda message: "disconnect" in message)
        assert goodbye["disconnect"]["code"] == CloseCode.DRAINING
        assert goodbye["disconnect"]["retry_ms"][1] > 0
        await draining
        async with aiohttp.ClientSession() as http:
            url = f"http://127.0.0.1:{node.port}/v1/socket/stream"
            async with http.post(url, data=b'{"connect":{"token":"x"}}') as answer:
                assert answer.status == 503
                assert answer.headers["Retry-After"] == "1"


async def test_a_posts_messages_count_against_the_users_allowance(node_config: Config) -> None:
    limits = SocketLimits(user_messages_per_s=0.01, user_messages_burst=10)
    async with open_node(node_config, socket_limits=limits) as node:
        meeting = await meet(node)
        frame = b"\n".join(b'{"id":%d,"ping":{}}' % number for number in range(15))
        async with post(node, meeting.buyer.token, frame) as answer:
            answers = [msgspec.json.decode(line) for line in (await answer.read()).splitlines()]
        assert ["ok" in one for one in answers] == [True] * 10 + [False] * 5
        assert answers[-1]["error"]["code"] == "socket.rate_limited"


async def test_a_message_of_somebody_who_is_no_member_is_refused(
    node: RunningNode, meeting: Meeting
) -> None:
    command = {"id": 1, "send": text_message(f"conversation:{uuid4()}", "hello?")}
    async with post(node, meeting.buyer.token, msgspec.json.encode(command)) as answer:
        error = msgspec.json.decode(await answer.read())["error"]
        assert error["code"] == "conversation.not_found"
