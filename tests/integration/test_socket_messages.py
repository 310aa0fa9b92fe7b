"""A chat, a haggling and an order on real sockets: all that the server says is what its documentation describes."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import aiohttp
import jsonschema
import msgspec
import pytest

from feira.app import RunningNode
from feira.services.products.editing import NewProduct, create_product, publish
from feira.services.products.variants import NewVariant
from feira.services.users.addresses import add_address
from feira.sql.database import Tx
from feira.ws.protocol import ClientMessage
from tests.integration.cast import HOME
from tests.integration.hearing import Hearing
from tests.integration.sockets import (
    Client,
    Meeting,
    connected,
    meet,
    opened,
    streaming,
    text_message,
)


async def _goods(node: RunningNode, meeting: Meeting) -> tuple[str, str]:
    """A variant of the seller's shop, and the buyer's address."""
    talk = meeting.talk
    new = NewProduct(
        title="A chair",
        category="books",
        variants=[NewVariant(sku=uuid4().hex[:12], price_minor=1_000, on_hand=3)],
    )

    async def work(tx: Tx) -> tuple[str, str]:
        product = await create_product(tx, talk.seller, talk.shop, new)
        await publish(tx, talk.seller, product, 1)
        variant = await tx.con.fetchval("SELECT id FROM variants WHERE product_id = $1", product)
        address = await add_address(tx, talk.buyer.user_id, HOME)
        return str(variant), str(address.id)

    return await node.market.database.transact(work)


async def _chat(buyer: Client, seller: Client, topic: str) -> None:
    for client in (buyer, seller):
        await client.ask(subscribe={"topic": topic})
    await seller.until(lambda message: "presence" in message)
    await buyer.say(typing={"topic": topic})
    await seller.until(lambda message: "typing" in message)
    seq = (await buyer.ask(send=text_message(topic, "Ainda tem?")))["ok"]["seq"]
    on = {"topic": topic, "message": seq}
    await buyer.ask(edit=on | {"client_id": str(uuid4()), "text": "Ainda a tem?"})
    await seller.ask(react=on | {"client_id": str(uuid4()), "emoji": "👍"})
    await seller.ask(delivered={"topic": topic, "seq": seq})
    await seller.ask(read={"topic": topic, "seq": seq})
    await buyer.until(lambda message: "cursor" in message)
    await seller.until(lambda message: "unread" in message)
    deleted = (await buyer.ask(delete=on))["ok"]["seq"]
    await seller.event(deleted)
    refused = await buyer.ask(edit=on | {"client_id": str(uuid4()), "text": "Não"})
    assert "error" in refused


async def _haggle(buyer: Client, seller: Client, topic: str, variant: str, address: str) -> str:
    wanted = {"variant": variant, "unit_price_minor": 700, "currency": "EUR", "address": address}
    made = await buyer.ask(make_offer={"topic": topic, "idempotency_key": "one", "offer": wanted})
    countered = await seller.ask(
        offer={
            "offer": made["ok"]["offer"],
            "idempotency_key": "two",
            "command": {"action": "counter", "unit_price_minor": 900},
        }
    )
    taken = await buyer.ask(
        offer={
            "offer": countered["ok"]["offer"],
            "idempotency_key": "three",
            "command": {"action": "accept"},
        }
    )
    return taken["ok"]["order"]


async def _cancel(buyer: Client, order: str) -> None:
    await buyer.ask(subscribe={"topic": f"order:{order}", "seq": 0, "epoch": ""})
    command = {"action": "cancel", "reason": "Mudei de ideias"}
    answer = await buyer.ask(order={"order": order, "idempotency_key": "four", "command": command})
    assert answer["ok"]["status"] == "cancelled"
    await buyer.until(
        lambda message: message.get("event", {}).get("body", {}).get("kind") == "order.cancelled"
    )


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_all_that_is_said_in_a_trade_is_described(node: RunningNode, encoding: str) -> None:
    meeting = await meet(node)
    variant, address = await _goods(node, meeting)
    async with opened(node, encoding) as buyer, opened(node, encoding) as seller:
        await connected(buyer, meeting.buyer)
        await connected(seller, meeting.seller)
        await _chat(buyer, seller, meeting.topic)
        order = await _haggle(buyer, seller, meeting.topic, variant, address)
        await _cancel(buyer, order)
        await buyer.ask(refresh={"token": meeting.buyer.token})
        await buyer.ask(unsubscribe={"topic": meeting.topic})
        await buyer.ask(ping={})
        async with opened(node, encoding) as later:
            # A replay of all of it, and a topic that is not theirs.
            resume = {meeting.topic: {"seq": 0}, f"order:{uuid4()}": {}}
            topics = (await connected(later, meeting.seller, **resume))["topics"]
            assert {"error", "events"} <= {key for topic in topics.values() for key in topic}
        await seller.say(subscribe=7)
        await seller.until(lambda message: "error" in message and "id" not in message)
        await node.sockets.drain(within_s=0.5)
        await buyer.closed()
        heard = buyer.heard.kinds + seller.heard.kinds
    # The last three belong to orders that were paid: tests of returns say them.
    silent = {"typing", "refund", "request_return", "command_return"}
    commands = {field.name for field in msgspec.structs.fields(ClientMessage)} - {"id"} - silent
    wanted = {f"answer.{name}" for name in commands}
    wanted |= {
        f"push.{name}"
        for name in ("event", "cursor", "unread", "presence", "typing", "error", "disconnect")
    }
    wanted |= {"message", "message.edited", "message.deleted", "reaction.added"}
    wanted |= {"offer.made", "offer.countered", "offer.accepted", "order.cancelled"}
    assert wanted - heard.keys() == set()


async def test_the_fallback_says_what_is_described(node: RunningNode) -> None:
    meeting = await meet(node)
    async with streaming(node, meeting.buyer) as buyer:
        await buyer.connect(token=meeting.buyer.token, resume={meeting.topic: {}})
        await buyer.ask(send=text_message(meeting.topic, "Olá"))
        await buyer.event(1)
        heard = buyer.heard.kinds
    assert {"push.stream", "answer.connect", "answer.send", "push.event"} <= heard.keys()


@pytest.mark.parametrize(
    "wrong",
    [
        {"typing": {"topic": "t"}},
        {"typing": {"topic": "t", "user": str(uuid4()), "more": 1}},
        {"cursor": {"topic": "t", "user": str(uuid4()), "read_seq": "1", "delivered_seq": 1}},
        {"news": {}},
        {"id": 1, "ok": {"seq": 1}},
        {"error": {"code": "a.b", "message": "?", "retryable": 1}},
    ],
)
def test_what_is_not_described_would_be_noticed(wrong: dict[str, Any]) -> None:
    hearing = Hearing()
    hearing.asked({"id": 1, "ping": {}})
    with pytest.raises((msgspec.ValidationError, AssertionError)):
        hearing.require_described(wrong)


async def test_the_document_is_served_and_what_is_pushed_fits_its_schemas(
    node: RunningNode,
) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{node.port}/asyncapi.json") as answer,
    ):
        assert (answer.status, answer.content_type) == (200, "application/json")
        document = await answer.json()
    assert document["servers"]["websocket"]["host"] == f"127.0.0.1:{node.port}"
    meeting = await meet(node)
    async with opened(node) as buyer:
        await connected(buyer, meeting.buyer)
        await buyer.ask(subscribe={"topic": meeting.topic})
        await buyer.ask(send=text_message(meeting.topic, "Olá"))
        pushed = {"event": await buyer.event(1)}
    message = document["components"]["messages"]["push.event"]
    schema = message["payload"] | {"components": document["components"]}
    validator = jsonschema.Draft7Validator(schema)
    validator.validate(pushed)
    del pushed["event"]["body"]["sender"]
    assert not validator.is_valid(pushed)
