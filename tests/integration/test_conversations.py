"""Conversations over REST: opening, listing, history, cursors, and other people's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from feira.app import RunningNode
from feira.client.api import ApiClient, ApiProblem
from feira.services.users.passwords import hash_password
from feira.sql.database import Tx
from tests.integration.live import make_shop, make_user

PASSWORD = "uma palavra segura"


class People:
    """A buyer, a seller with a shop, and a stranger, signed in."""

    buyer: ApiClient
    seller: ApiClient
    stranger: ApiClient
    shop: str


@pytest.fixture
async def people(node: RunningNode) -> AsyncIterator[People]:
    password_hash = await hash_password(PASSWORD)

    async def work(tx: Tx) -> tuple[list[str], str]:
        (_, buyer), (seller, mail), (_, stranger) = [
            await make_user(tx, name, password_hash) for name in ("Buyer", "Seller", "Stranger")
        ]
        return [buyer, mail, stranger], str(await make_shop(tx, seller))

    mails, shop = await node.market.database.transact(work)
    made = People()
    made.shop = shop
    async with aiohttp.ClientSession() as http:
        clients = [ApiClient(f"http://127.0.0.1:{node.port}", http) for _ in mails]
        for client, mail in zip(clients, mails, strict=True):
            await client.sign_in(mail, PASSWORD)
        made.buyer, made.seller, made.stranger = clients
        yield made


async def say(client: ApiClient, conversation: str, text: str) -> dict[str, Any]:
    return await client.post(
        f"/v1/conversations/{conversation}/messages", {"client_id": str(uuid4()), "text": text}
    )


async def test_opening_twice_gives_the_same_conversation(people: People) -> None:
    first = await people.buyer.post("/v1/conversations", {"shop": people.shop})
    again = await people.buyer.post("/v1/conversations", {"shop": people.shop})
    assert first["id"] == again["id"]
    assert (first["unread"], first["last_message"], first["seq"]) == (0, None, 0)


async def test_both_sides_list_it_with_their_own_unread_count(people: People) -> None:
    conversation = (await people.buyer.post("/v1/conversations", {"shop": people.shop}))["id"]
    for text in ("Bom dia", "Ainda tem?"):
        await say(people.buyer, conversation, text)
    [mine] = (await people.buyer.get("/v1/conversations"))["items"]
    [theirs] = (await people.seller.get("/v1/conversations"))["items"]
    assert (mine["unread"], theirs["unread"]) == (0, 2)
    assert theirs["last_message"]["text"] == "Ainda tem?"
    await people.seller.put(f"/v1/conversations/{conversation}/cursor", {"read_seq": 2})
    assert (await people.seller.get(f"/v1/conversations/{conversation}"))["unread"] == 0
    members = (await people.buyer.get(f"/v1/conversations/{conversation}/members"))["items"]
    assert {member["read_seq"] for member in members} == {2}


async def test_history_pages_backwards_without_holes_or_doubles(people: People) -> None:
    conversation = (await people.buyer.post("/v1/conversations", {"shop": people.shop}))["id"]
    for number in range(25):
        await say(people.buyer, conversation, f"{number}")
    texts: list[str] = []
    before: int | None = None
    while True:
        page = await people.seller.get(
            f"/v1/conversations/{conversation}/messages", limit=10, before=before
        )
        texts = [item["body"]["text"] for item in page["items"]] + texts
        before = page["next_before"]
        if before is None:
            break
    assert texts == [f"{number}" for number in range(25)]


async def test_a_page_of_conversations_leads_to_the_next(people: People, node: RunningNode) -> None:
    async def three_shops(tx: Tx) -> list[str]:
        return [str(await make_shop(tx, (await make_user(tx, f"Owner{n}"))[0])) for n in range(3)]

    opened = [
        (await people.buyer.post("/v1/conversations", {"shop": shop}))["id"]
        for shop in await node.market.database.transact(three_shops)
    ]
    await say(people.buyer, opened[0], "the oldest speaks again")
    listed: list[str] = []
    cursor: str | None = None
    while True:
        page = await people.buyer.get("/v1/conversations", limit=1, cursor=cursor)
        listed += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert listed == [opened[0], opened[2], opened[1]]


async def test_nobody_talks_to_their_own_shop(people: People) -> None:
    with pytest.raises(ApiProblem) as caught:
        await people.seller.post("/v1/conversations", {"shop": people.shop})
    assert caught.value.code == "conversation.own_shop"


@pytest.mark.parametrize("path", ["", "/messages", "/members"])
async def test_strangers_learn_nothing(people: People, path: str) -> None:
    conversation = (await people.buyer.post("/v1/conversations", {"shop": people.shop}))["id"]
    with pytest.raises(ApiProblem) as caught:
        await people.stranger.get(f"/v1/conversations/{conversation}{path}")
    assert (caught.value.status, caught.value.code) == (404, "conversation.not_found")
    with pytest.raises(ApiProblem) as caught:
        await say(people.stranger, conversation, "hello?")
    assert caught.value.code == "conversation.not_found"


async def test_a_conversation_is_about_one_thing_that_is_there(people: People) -> None:
    for body, code in (
        ({"shop": str(uuid4())}, "shop.not_found"),
        ({"shop": people.shop, "product": str(uuid4())}, "product.not_found"),
        ({"shop": people.shop, "order": str(uuid4())}, "order.not_found"),
        (
            {"shop": people.shop, "order": str(uuid4()), "product": str(uuid4())},
            "conversation.two_subjects",
        ),
    ):
        with pytest.raises(ApiProblem) as caught:
            await people.buyer.post("/v1/conversations", body)
        assert caught.value.code == code


async def test_contact_details_are_delivered_with_a_warning(people: People) -> None:
    conversation = (await people.buyer.post("/v1/conversations", {"shop": people.shop}))["id"]
    for text in ("Bom dia", "Write to ana@example.com", "or see my-shop.com, tel. 912 345 678"):
        await say(people.buyer, conversation, text)
    page = await people.seller.get(f"/v1/conversations/{conversation}/messages")
    assert [item["body"].get("warnings") for item in page["items"]] == [
        None,
        ["contact_details"],
        ["contact_details", "link"],
    ]
