"""The Python client on bad networks and with unwilling servers."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web

from feira.app import RunningNode
from feira.client.api import ApiClient, ApiProblem
from feira.client.problems import SocketEnded
from feira.client.socket import SocketClient
from feira.client.topic_log import EARLY_MAX, Event, TopicLog
from feira.platform.domain.ids import SessionId, UserId
from feira.services.users.sessions import revoke_session
from feira.sql.database import Tx
from tests.chaos.proxy import BadNetwork, bad_network
from tests.integration.live import eventually
from tests.integration.test_client_socket import PASSWORD, Person, start_talk


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def network(node: RunningNode) -> AsyncIterator[BadNetwork]:
    async with bad_network(node.port) as opened:
        yield opened


@asynccontextmanager
async def caller(
    network: BadNetwork, http: aiohttp.ClientSession, mail: str
) -> AsyncGenerator[Person]:
    url = f"http://127.0.0.1:{network.port}"
    api = ApiClient(url, http)
    await api.sign_in(mail, PASSWORD)
    person = Person(api, SocketClient(url, http, api.token, heartbeat_s=0.6))
    async with asyncio.timeout(15):
        await person.socket.start()
    try:
        yield person
    finally:
        await person.socket.close()


async def test_a_connection_that_is_half_open_is_noticed_and_nothing_is_lost(
    node: RunningNode, network: BadNetwork, http: aiohttp.ClientSession
) -> None:
    talk = await start_talk(node)
    async with caller(network, http, talk.buyer_mail) as buyer:
        await buyer.watch(talk.topic)
        assert (await buyer.socket.send(talk.topic, "0")).seq == 1
        network.freeze()
        sending = [asyncio.create_task(buyer.socket.send(talk.topic, f"{n}")) for n in range(1, 6)]
        await eventually(lambda: not buyer.socket.is_open, within_s=20)
        assert buyer.socket.unsent == 5
        network.thaw()
        async with asyncio.timeout(30):
            assert [place.seq for place in await asyncio.gather(*sending)] == [2, 3, 4, 5, 6]
        await eventually(lambda: buyer.texts == ["0", "1", "2", "3", "4", "5"])
        assert buyer.socket.unsent == 0


async def test_answers_cut_off_in_the_middle_are_asked_for_again(
    node: RunningNode, network: BadNetwork, http: aiohttp.ClientSession
) -> None:
    talk = await start_talk(node)
    dice = random.Random(16)
    async with caller(network, http, talk.buyer_mail) as buyer:
        await buyer.watch(talk.topic)
        async with asyncio.timeout(60):
            for number in range(25):
                if number % 5 == 0:
                    network.bytes_until_cut = dice.randrange(1, 600)
                await buyer.socket.send(talk.topic, f"{number}")
        await eventually(lambda: buyer.seqs == list(range(1, 26)), within_s=20)
        assert buyer.texts == [f"{number}" for number in range(25)]
        assert buyer.socket.reconnects >= 3


async def test_a_session_that_was_ended_ends_the_client_with_the_reason(
    node: RunningNode, network: BadNetwork, http: aiohttp.ClientSession
) -> None:
    talk = await start_talk(node)
    async with caller(network, http, talk.buyer_mail) as buyer:
        session = (await buyer.api.get("/v1/me/sessions"))["items"][0]["id"]

        async def work(tx: Tx) -> bool:
            user = UserId(UUID(buyer.api.user))
            return await revoke_session(tx, user, SessionId(UUID(session)), "logout")

        assert await node.market.database.transact(work)
        async with asyncio.timeout(15):
            ended = await buyer.socket.wait_ended()
            assert (ended.code, ended.close_code) == ("socket.closed", 3503)
            # Nobody waits for what never comes.
            with pytest.raises(SocketEnded):
                await buyer.socket.send(talk.topic, "too late")
            with pytest.raises(SocketEnded):
                await buyer.watch(talk.topic)


async def test_a_client_without_a_token_says_so(http: aiohttp.ClientSession) -> None:
    async def token() -> str:
        raise ApiProblem(401, {"code": "auth.session_revoked", "detail": "signed out"})

    client = SocketClient("http://127.0.0.1:1", http, token)
    with pytest.raises(SocketEnded) as refused:
        await client.start()
    assert refused.value.code == "auth.session_revoked"
    await client.close()


Serve = Callable[[web.WebSocketResponse], Awaitable[None]]


@asynccontextmanager
async def unwilling(serve: Serve) -> AsyncGenerator[tuple[str, list[float]]]:
    """A server that treats every socket alike, and notes when they came."""
    came: list[float] = []

    async def handle(request: web.Request) -> web.WebSocketResponse:
        came.append(asyncio.get_running_loop().time())
        socket = web.WebSocketResponse(protocols=("feira.v1.json",))
        await socket.prepare(request)
        await serve(socket)
        return socket

    app = web.Application()
    app.add_routes([web.get("/v1/socket", handle)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", came
    finally:
        await runner.cleanup()


async def any_token() -> str:
    return "a token"


async def test_a_server_that_closes_every_socket_is_asked_ever_more_seldom(
    http: aiohttp.ClientSession,
) -> None:
    async def serve(socket: web.WebSocketResponse) -> None:
        await socket.close(code=3002)

    async with unwilling(serve) as (url, came):
        client = SocketClient(url, http, any_token)
        starting = asyncio.create_task(client.start())
        await asyncio.sleep(2.5)
        await client.close()
        with pytest.raises(SocketEnded):
            await starting
        # Without backing off it would be fifty.
        assert 1 <= len(came) <= 20


async def test_the_servers_hint_when_to_come_back_is_kept(http: aiohttp.ClientSession) -> None:
    async def serve(socket: web.WebSocketResponse) -> None:
        goodbye = {"disconnect": {"code": 3001, "reason": "draining", "retry_ms": [700, 900]}}
        await socket.send_json(goodbye)
        await socket.close(code=3001)

    async with unwilling(serve) as (url, came):
        client = SocketClient(url, http, any_token)
        starting = asyncio.create_task(client.start())
        await eventually(lambda: len(came) == 3)
        await client.close()
        with pytest.raises(SocketEnded):
            await starting
        assert came[1] - came[0] >= 0.7
        assert came[2] - came[1] >= 0.7


async def test_a_callback_that_raises_ends_the_client_with_its_cause(
    node: RunningNode, network: BadNetwork, http: aiohttp.ClientSession
) -> None:
    talk = await start_talk(node)

    def broken(_event: Event) -> None:
        raise RuntimeError("the program has a bug")

    async with caller(network, http, talk.buyer_mail) as buyer:
        await buyer.socket.watch(talk.topic, broken)
        sending = asyncio.create_task(buyer.socket.send(talk.topic, "boom"))
        async with asyncio.timeout(15):
            ended = await buyer.socket.wait_ended()
        assert ended.code == "client.failed"
        assert isinstance(ended.__cause__, RuntimeError)
        await asyncio.gather(sending, return_exceptions=True)


def test_more_early_events_than_are_kept_are_read_from_the_log() -> None:
    seen: list[int] = []
    log = TopicLog("shop:1", lambda event: seen.append(event.seq), lambda _seq: None, None)
    for seq in range(11, 11 + EARLY_MAX + 500):
        assert log.take({"seq": seq, "at": "", "body": {}})
    answer: dict[str, Any] = {"state": {}, "epoch": "a", "recovered": True, "events": [], "seq": 10}
    assert not log.subscribed(answer)
    last = seen[-1]
    assert seen == list(range(11, last + 1))
    missed: list[dict[str, Any]] = [
        {"seq": seq, "at": "", "body": {}} for seq in range(last + 1, last + 4)
    ]
    assert log.subscribed(answer | {"events": missed, "seq": last + 3})
    assert seen == list(range(11, last + 4))


async def test_the_example_in_the_documentation_runs(
    node: RunningNode, network: BadNetwork, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
    example = tmp_path / "example.py"
    example.write_text(page.partition("```python\n")[2].partition("```")[0])
    talk = await start_talk(node)
    process = await asyncio.create_subprocess_exec(
        sys.executable, example, f"http://127.0.0.1:{network.port}", talk.buyer_mail, PASSWORD,
        talk.conversation, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        said, _ = await process.communicate()
    assert process.returncode == 0
    assert "acknowledged as 1\n" in said.decode()
