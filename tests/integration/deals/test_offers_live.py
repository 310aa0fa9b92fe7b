"""Offers through the served market: REST, sockets, the Python client, two nodes, and the news afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import msgspec
import pytest

from feira.app import RunningNode
from feira.client.api import ApiClient, ApiProblem
from feira.client.socket import SocketClient, SocketProblem
from feira.client.topic_log import Event
from feira.jobs.deals import handle_expire_offers, handle_notify_offer
from feira.jobs.run import JobRun
from feira.platform.domain.ids import ConversationId, JobId, VariantId
from feira.platform.domain.jobs import ExpireOffers, Job, NotifyOffer
from feira.platform.domain.offers import MakeOffer
from feira.platform.domain.topics import conversation_topic, inbox_topic
from feira.platform.runtime.config import Config
from feira.services.deals.offers import make_offer
from feira.services.messaging.conversations import OpenConversation, open_conversation
from feira.services.products.editing import NewProduct, create_product, publish
from feira.services.products.variants import NewVariant
from feira.services.users.addresses import add_address
from feira.services.users.authentication import authenticate
from feira.services.users.passwords import hash_password
from feira.sql.database import Tx
from tests.integration.cast import HOME
from tests.integration.live import Watching, eventually, live_node, make_shop, make_user, message

PASSWORD = "uma palavra segura"


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A buyer and a seller, signed in, with a conversation about one thing."""

    node: RunningNode
    buyer: ApiClient
    seller: ApiClient
    stranger: ApiClient
    http: aiohttp.ClientSession
    conversation: str
    variant: str
    address: str

    @property
    def path(self) -> str:
        return f"/v1/conversations/{self.conversation}/offers"

    @property
    def topic(self) -> str:
        return f"conversation:{self.conversation}"

    def terms(self, unit_price_minor: int = 800, **more: Any) -> dict[str, Any]:
        return {
            "variant": self.variant,
            "unit_price_minor": unit_price_minor,
            "currency": "EUR",
        } | more

    def bid(self, unit_price_minor: int = 800, **more: Any) -> dict[str, Any]:
        """What the buyer says: with the address."""
        return self.terms(unit_price_minor, address=self.address, **more)

    async def run_jobs(self, kind: type[Job]) -> None:
        """Do what the waiting jobs of a kind do, twice each, as after a worker that died."""
        async with self.node.market.database.connection() as con:
            rows = await con.fetch(
                "SELECT id, args FROM jobs WHERE kind = $1 AND state = 'ready'"
                " AND args->>'offer' IN (SELECT id::text FROM offers WHERE conversation_id = $2) ORDER BY id",
                kind.__struct_config__.tag,
                UUID(self.conversation),
            )
        for row in rows:
            for attempt in (1, 2):
                async with self.node.market.database.connection() as con:
                    await con.execute(
                        "UPDATE jobs SET state = 'running', attempt = $2, finished_at = NULL,"
                        " lease_until = now() + interval '1 min' WHERE id = $1",
                        row["id"],
                        attempt,
                    )
                run = JobRun(self.node.market, JobId(row["id"]), attempt)
                await handle_notify_offer(run, msgspec.json.decode(row["args"], type=NotifyOffer))


@pytest.fixture
async def desk(node: RunningNode) -> AsyncIterator[Desk]:
    password_hash = await hash_password(PASSWORD)

    async def work(tx: Tx) -> tuple[list[str], str, str, str]:
        (buyer, buyers), (seller, sellers), (_, strangers) = [
            await make_user(tx, name, password_hash) for name in ("Buyer", "Seller", "Stranger")
        ]
        shop = await make_shop(tx, seller)
        new = NewProduct(
            title="A chair",
            category="books",
            variants=[NewVariant(sku=uuid4().hex[:12], price_minor=1_000, on_hand=3)],
        )
        product = await create_product(tx, seller, shop, new)
        await publish(tx, seller, product, 1)
        variant = await tx.con.fetchval("SELECT id FROM variants WHERE product_id = $1", product)
        about = OpenConversation(shop=shop, product=product)
        conversation = await open_conversation(tx, buyer, about)
        address = await add_address(tx, buyer.user_id, HOME)
        return [buyers, sellers, strangers], str(conversation), str(variant), str(address.id)

    mails, conversation, variant, address = await node.market.database.transact(work)
    async with aiohttp.ClientSession() as http:
        clients = [ApiClient(f"http://127.0.0.1:{node.port}", http) for _ in mails]
        for client, mail in zip(clients, mails, strict=True):
            await client.sign_in(mail, PASSWORD)
        yield Desk(
            node=node,
            buyer=clients[0],
            seller=clients[1],
            stranger=clients[2],
            http=http,
            conversation=conversation,
            variant=variant,
            address=address,
        )


async def socket(desk: Desk, api: ApiClient) -> SocketClient:
    client = SocketClient(f"http://127.0.0.1:{desk.node.port}", desk.http, api.token)
    await client.start()
    return client


async def test_two_people_come_to_terms_over_rest_and_the_buyer_pays(desk: Desk) -> None:
    made = await desk.buyer.post(desk.path, desk.bid(700, quantity=2))
    offer = made["offer"]
    assert (offer["status"], offer["total_minor"], made["actions"]) == ("open", 1_400, ["withdraw"])
    seen = await desk.seller.get(f"/v1/offers/{offer['id']}")
    assert seen["actions"] == ["accept", "counter", "decline"]
    counter = await desk.seller.post(
        f"/v1/offers/{offer['id']}/commands",
        {"action": "counter", "unit_price_minor": 900, "quantity": 2},
    )
    taken = await desk.buyer.post(
        f"/v1/offers/{counter['offer']['id']}/commands", {"action": "accept"}
    )
    checkout = await desk.buyer.get(f"/v1/order-groups/{taken['offer']['group']}")
    assert checkout["group"]["total_minor"] == 1_800
    [order] = checkout["orders"]
    assert (order["id"], order["status"]) == (taken["offer"]["order"], "pending_payment")
    # Nobody's request waited for the provider: a job tells it at once.
    async with desk.node.market.database.connection() as con:
        due = await con.fetchval(
            "SELECT run_at <= now() FROM jobs WHERE kind = 'payments.create_intent'"
            " AND args->>'payment' = $1",
            checkout["payment"]["id"],
        )
    assert due
    history = await desk.seller.get(f"/v1/conversations/{desk.conversation}/messages")
    assert [item["body"]["kind"] for item in history["items"]] == [
        "offer.made",
        "offer.countered",
        "offer.accepted",
    ]
    assert history["items"][-1]["body"]["offer"] == taken["offer"]
    [listed] = (await desk.buyer.get("/v1/conversations"))["items"]
    assert listed["last_message"]["kind"] == "offer.accepted"


async def test_a_late_answer_says_how_it_ended(desk: Desk) -> None:
    made = (await desk.buyer.post(desk.path, desk.bid()))["offer"]
    path = f"/v1/offers/{made['id']}/commands"
    await desk.buyer.post(path, {"action": "withdraw"})
    with pytest.raises(ApiProblem) as caught:
        await desk.seller.post(path, {"action": "accept"})
    assert (caught.value.status, caught.value.code) == (409, "offer.withdrawn")
    assert caught.value.details["offer"] == made | {"status": "withdrawn"}
    with pytest.raises(ApiProblem) as caught:
        await desk.stranger.get(f"/v1/offers/{made['id']}")
    assert (caught.value.status, caught.value.code) == (404, "offer.not_found")


async def test_two_people_come_to_terms_over_sockets_while_their_lines_break(desk: Desk) -> None:
    buyer, seller = await socket(desk, desk.buyer), await socket(desk, desk.seller)
    seen: dict[str, list[Event]] = {"buyer": [], "seller": []}
    try:
        await buyer.watch(desk.topic, seen["buyer"].append)
        await seller.watch(desk.topic, seen["seller"].append)
        await buyer.send(desk.topic, "Faz desconto?")
        making = asyncio.create_task(buyer.make_offer(desk.topic, desk.bid(700), key="once"))
        buyer.drop()
        made = await making
        assert await buyer.make_offer(desk.topic, desk.bid(700), key="once") == made
        answering = asyncio.create_task(
            seller.command_offer(made["offer"], {"action": "counter", "unit_price_minor": 800})
        )
        seller.drop()
        counter = await answering
        yes = await buyer.command_offer(counter["offer"], {"action": "accept"}, key="yes")
        assert (yes["status"], yes["offer"]) == ("accepted", counter["offer"])
        assert yes["order"] is not None
        await seller.send(desk.topic, "Obrigado")
        kinds = ["message", "offer.made", "offer.countered", "offer.accepted", "message"]
        await eventually(lambda: all(len(events) >= len(kinds) for events in seen.values()))
        for events in seen.values():
            assert [event.body["kind"] for event in events] == kinds
            assert [event.seq for event in events] == [1, 2, 3, 4, 5]
        with pytest.raises(SocketProblem) as caught:
            await seller.command_offer(counter["offer"], {"action": "withdraw"})
        assert caught.value.code == "offer.accepted"
        assert caught.value.details["offer"]["order"] == yes["order"]
    finally:
        await buyer.close()
        await seller.close()


async def test_a_key_of_another_offer_is_refused_on_the_socket(desk: Desk) -> None:
    buyer = await socket(desk, desk.buyer)
    try:
        await buyer.make_offer(desk.topic, desk.bid(700), key="mine")
        with pytest.raises(SocketProblem) as caught:
            await buyer.make_offer(desk.topic, desk.bid(600), key="mine")
        assert caught.value.code == "idempotency.key_reused"
        with pytest.raises(SocketProblem) as caught:
            await buyer.make_offer(f"product:{uuid4()}", desk.bid())
        assert caught.value.code == "topic.not_a_conversation"
    finally:
        await buyer.close()


async def test_watchers_on_every_node_get_words_and_offers_in_one_order(
    desk: Desk, node_config: Config
) -> None:
    """An offer is committed by a process without the conversation's actor; both nodes hear of it."""
    conversation = ConversationId(UUID(desk.conversation))
    topic = conversation_topic(conversation)
    database = desk.node.market.database
    async with live_node(node_config, "one") as one, live_node(node_config, "two") as two:
        async with database.connection() as con:
            user = await con.fetchval(
                "SELECT buyer_id FROM conversations WHERE id = $1", conversation
            )
        watchers = [Watching(user), Watching(user)]
        inbox = Watching(user)
        for live, watcher in zip((one, two), watchers, strict=True):
            await live.node.subscribe(topic, watcher, None)
        await two.node.subscribe(inbox_topic(user), inbox, None)
        buyer = await _principal(desk)
        wanted = MakeOffer(
            variant=VariantId(UUID(desk.variant)),
            unit_price_minor=800,
            currency="EUR",
            address=None,
        )
        seller = await _principal(desk, "seller")
        await one.node.post_message(buyer, conversation, message())
        await two.database.transact(lambda tx: make_offer(tx, seller, conversation, wanted))
        # It counts at once, as a message would.
        await eventually(lambda: any(unread["seq"] == 2 for unread in inbox.of("unread")))
        await two.node.post_message(buyer, conversation, message())
        await eventually(lambda: all(watcher.seqs == [1, 2, 3] for watcher in watchers))
        bodies = [[event["body"] for event in watcher.of("event")] for watcher in watchers]
        assert bodies[0] == bodies[1]
        assert bodies[0][1]["kind"] == "offer.made"


async def _principal(desk: Desk, who: str = "buyer") -> Any:
    api = desk.buyer if who == "buyer" else desk.seller
    signed_in = await authenticate(desk.node.market, await api.token())
    return signed_in.principal


async def test_each_step_is_news_to_the_side_that_did_not_take_it_once(desk: Desk) -> None:
    made = (await desk.buyer.post(desk.path, desk.bid(700)))["offer"]
    counter = await desk.seller.post(
        f"/v1/offers/{made['id']}/commands", {"action": "counter", "unit_price_minor": 900}
    )
    path = f"/v1/offers/{counter['offer']['id']}/commands"
    taken = await desk.buyer.post(path, {"action": "accept"})
    await desk.run_jobs(NotifyOffer)

    async def news(api: ApiClient) -> list[tuple[str, int, str | None]]:
        items = (await api.get("/v1/notifications"))["items"]
        assert {item["kind"] for item in items} == {"offer.moved"}
        return [
            (item["data"]["step"], item["data"]["unit_price_minor"], item["data"]["group"])
            for item in items
        ]

    assert await news(desk.seller) == [("accepted", 900, None), ("made", 700, None)]
    assert await news(desk.buyer) == [("countered", 900, taken["offer"]["group"])]


async def test_an_offer_that_ran_out_is_told_by_a_worker_to_everybody_who_watches(
    desk: Desk,
) -> None:
    seller = await socket(desk, desk.seller)
    seen: list[Event] = []
    try:
        await seller.watch(desk.topic, seen.append)
        made = (await desk.buyer.post(desk.path, desk.bid()))["offer"]
        async with desk.node.market.database.connection() as con:
            await con.execute("UPDATE offers SET expires_at = now() WHERE id = $1", made["id"])
        run = JobRun(desk.node.market, JobId(uuid4()), 1)
        await handle_expire_offers(run, ExpireOffers())
        await eventually(lambda: len(seen) == 2)
        body = seen[1].body
        assert (body["kind"], body["actor"]) == ("offer.expired", None)
        assert body["offer"]["status"] == "expired"
    finally:
        await seller.close()
    await desk.run_jobs(NotifyOffer)
    [mine] = (await desk.buyer.get("/v1/notifications"))["items"]
    assert mine["data"]["step"] == "expired"
