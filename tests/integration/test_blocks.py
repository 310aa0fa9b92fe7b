"""Blocking: no new words, no new conversations, a clear answer to the sender, and the way back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import aiohttp
import pytest

from feira.app import RunningNode
from feira.client.api import ApiClient, ApiProblem
from feira.services.users.passwords import hash_password
from feira.sql.database import Tx
from tests.integration.live import make_shop, make_user
from tests.integration.sockets import opened

PASSWORD = "uma palavra segura"


class People:
    buyer: ApiClient
    seller: ApiClient
    shop: str
    conversation: str


@pytest.fixture
async def people(node: RunningNode) -> AsyncIterator[People]:
    password_hash = await hash_password(PASSWORD)

    async def work(tx: Tx) -> tuple[list[str], str]:
        (_, buyer), (seller, mail) = [
            await make_user(tx, name, password_hash) for name in ("Buyer", "Seller")
        ]
        return [buyer, mail], str(await make_shop(tx, seller))

    mails, shop = await node.market.database.transact(work)
    made = People()
    made.shop = shop
    async with aiohttp.ClientSession() as http:
        clients = [ApiClient(f"http://127.0.0.1:{node.port}", http) for _ in mails]
        for client, mail in zip(clients, mails, strict=True):
            await client.sign_in(mail, PASSWORD)
        made.buyer, made.seller = clients
        opened_one = await made.buyer.post("/v1/conversations", {"shop": shop})
        made.conversation = opened_one["id"]
        yield made


async def say(people: People, client: ApiClient, client_id: str | None = None) -> int:
    posted = await client.post(
        f"/v1/conversations/{people.conversation}/messages",
        {"client_id": client_id or str(uuid4()), "text": "Bom dia"},
    )
    return posted["seq"]


async def test_the_blocked_say_nothing_new_and_are_told_so(
    people: People, node: RunningNode
) -> None:
    before = str(uuid4())
    assert await say(people, people.buyer, before) == 1
    for _ in range(2):
        await people.seller.put(f"/v1/me/blocks/{people.buyer.user}", {})
    with pytest.raises(ApiProblem) as caught:
        await say(people, people.buyer)
    assert (caught.value.status, caught.value.code) == (422, "conversation.blocked")
    # A message that was there before stays acknowledged.
    assert await say(people, people.buyer, before) == 1
    topic = f"conversation:{people.conversation}"
    async with opened(node) as socket:
        await socket.ask(connect={"token": await people.buyer.token()})
        answers = [
            await socket.ask(send={"topic": topic, "client_id": str(uuid4()), "text": "Hello?"})
            for _ in range(2)
        ]
    assert {answer["error"]["code"] for answer in answers} == {"conversation.blocked"}
    # The blocker may still speak.
    assert await say(people, people.seller) == 2
    await people.seller.delete(f"/v1/me/blocks/{people.buyer.user}")
    assert await say(people, people.buyer) == 3


async def test_the_blocked_open_no_conversation_with_the_shop(people: People) -> None:
    await people.seller.put(f"/v1/me/blocks/{people.buyer.user}", {})
    with pytest.raises(ApiProblem) as caught:
        await people.buyer.post("/v1/conversations", {"shop": people.shop})
    assert caught.value.code == "conversation.blocked"


async def test_blocks_are_listed_until_they_are_lifted(people: People) -> None:
    assert (await people.buyer.get("/v1/me/blocks"))["items"] == []
    await people.buyer.put(f"/v1/me/blocks/{people.seller.user}", {})
    page = await people.buyer.get("/v1/me/blocks")
    assert [item["user_id"] for item in page["items"]] == [people.seller.user]
    assert page["next_cursor"] is None
    for _ in range(2):
        await people.buyer.delete(f"/v1/me/blocks/{people.seller.user}")
    assert (await people.buyer.get("/v1/me/blocks"))["items"] == []


async def test_one_blocks_neither_oneself_nor_strangers(people: People) -> None:
    for user, code in ((people.buyer.user, "block.self"), (str(uuid4()), "user.not_found")):
        with pytest.raises(ApiProblem) as caught:
            await people.buyer.put(f"/v1/me/blocks/{user}", {})
        assert caught.value.code == code
