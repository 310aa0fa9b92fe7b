"""Everybody at the market: people with an account and a socket; sellers mind a stall, buyers walk around."""

from __future__ import annotations

import asyncio
import csv
import io
import random
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import aiohttp

from feira.client.api import ApiClient, ApiProblem
from feira.client.socket import SocketClient, SocketProblem
from feira.client.topic_log import Event
from feira.market_day.record import Acknowledged, Record

PASSWORD: Final = "a day at the market"  # noqa: S105 - of people who exist for a minute
ADDRESS: Final = {
    "name": "Somebody", "line1": "Rua do Mercado 1", "city": "Porto", "postal_code": "4000-001", "country": "PT",
}  # fmt: skip
REPLY_TIMEOUT_S: Final = 30.0

_QUESTIONS: Final = (
    "Bom dia! Is this still available?",
    "How old is it?",
    "Could you send it this week?",
)
_OFFERS: Final = ("Would you take ten percent less?", "And if I take two?", "My last offer, truly.")
_REPLIES: Final = (
    "It is!",
    "For you, nearly.",
    "Let me ask my mother.",
    "We ship every day.",
    "That is my price, friend.",
)


@dataclass(kw_only=True)
class Person:
    """Somebody signed in, with a socket whose every event is written down."""

    email: str
    api: ApiClient
    socket: SocketClient
    record: Record
    dice: random.Random
    epoch: str = ""
    tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @property
    def user(self) -> str:
        return self.api.user

    async def arrive(self) -> None:
        """Sign in and open the socket."""
        await self.api.sign_in(self.email, PASSWORD)
        await self.socket.start()
        await self.watch(f"inbox:{self.user}")

    async def leave(self) -> None:
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.socket.close()

    async def watch(self, topic: str, *, from_start: bool = False) -> None:
        """Watch a topic and write down what comes."""

        def on_gap(seq: int) -> None:
            self.record.logs[self.user, topic].gaps.append(seq)

        position = (0, self.socket.epoch) if from_start else None
        await self.socket.watch(topic, self.on_event, position=position, on_gap=on_gap)

    def on_event(self, event: Event) -> None:
        self.record.handed(self.user, event)
        self.react(event)

    def react(self, event: Event) -> None:
        """What sellers and buyers do about it."""

    def soon(self, work: Awaitable[None], what: str) -> None:
        """Do something beside; a failure of it is a problem of the day."""
        task = asyncio.ensure_future(self.guarded(work, what))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def guarded(self, work: Awaitable[None], what: str) -> None:
        try:
            await work
        except (ApiProblem, SocketProblem, aiohttp.ClientError, TimeoutError) as problem:
            self.record.problems.append(f"{what}: {type(problem).__name__} {problem}")

    async def say(self, conversation: str, text: str) -> None:
        """Say something and write down where it stands once it is acknowledged."""
        client_id = uuid4()
        began = self.record.sending(str(client_id))
        posted = await self.socket.send(f"conversation:{conversation}", text, client_id=client_id)
        self.record.took("message: sent to acknowledged", time.perf_counter() - began)
        self.record.acknowledged.append(
            Acknowledged(
                conversation=conversation,
                seq=posted.seq,
                client_id=str(client_id),
                sender=self.user,
            )
        )

    async def command(self, order: str, effect: str, **command: object) -> None:
        """Command an order over the socket; its effect is the event that everybody will see."""
        self.record.commanding(order, effect)
        await self.socket.command_order(order, command)

    async def wander(self, until: float, every_s: float) -> None:
        """Lose the connection now and then, as people in a crowd do."""
        while True:
            await asyncio.sleep(self.dice.expovariate(1 / every_s))
            if time.monotonic() > until:
                return
            self.record.counts["sockets dropped"] += 1
            self.socket.drop()


@dataclass(kw_only=True)
class Seller(Person):
    """Keeps a shop: answers questions, accepts and ships what was paid."""

    shop: str = ""

    async def apply(self, name: str) -> None:
        shop = await self.api.post(
            "/v1/shops",
            {
                "name": name,
                "country": "PT",
                "currency": "EUR",
                "description": "A stall at the market.",
            },
        )
        self.shop = shop["id"]

    async def is_verified(self) -> bool:
        return (await self.api.get(f"/v1/shops/{self.shop}/private"))["status"] == "verified"

    async def set_up_stall(self, header: list[str], rows: list[dict[str, str]]) -> None:
        """Import goods; every bad row must be reported, and no good one."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=header)
        writer.writeheader()
        writer.writerows(rows)
        report = await self.api.post_bytes(
            f"/v1/shops/{self.shop}/products/import", text.getvalue().encode(), "text/csv"
        )
        bad = {number for number, row in enumerate(rows, 2) if row["sku"].startswith("BAD")}
        reported = {error["row"] for error in report["errors"]}
        if reported != bad or report["created"] != len(rows) - len(bad):
            self.record.problems.append(f"import: bad rows {sorted(bad)}, reported {report}")
        self.record.counts["goods imported"] += report["created"]
        self.record.counts["bad rows reported"] += len(reported)
        for product in await self.products():
            for variant in product["variants"]:
                self.record.imported[variant["id"]] = variant["on_hand"]
        await self.watch(f"shop:{self.shop}")

    async def products(self) -> list[dict[str, Any]]:
        """Everything on the stall, with stock as its team sees it."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = await self.api.get(
                f"/v1/shops/{self.shop}/products", status="all", cursor=cursor, limit=100
            )
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    def react(self, event: Event) -> None:
        kind = event.body["kind"]
        if kind == "conversation.opened":
            self.soon(self._listen(event.body["conversation"]), "seller listens")
        elif kind == "message" and event.body["sender"] != self.user:
            self.soon(self._reply(event.topic, event.seq), "seller replies")
        elif kind == "order.placed":
            self.soon(self._fulfil(event.body["order"]), "seller fulfils")
        elif kind == "order.cancel_requested":
            # The buyer asked once it was accepted.
            self.soon(self._let_go(event.body["order"]), "seller lets go")

    async def _listen(self, conversation: str) -> None:
        self.record.members[conversation].add(self.user)
        await self.watch(f"conversation:{conversation}", from_start=True)

    async def _reply(self, topic: str, seq: int) -> None:
        await self.socket.typing(topic)
        await asyncio.sleep(self.dice.uniform(0.05, 0.6))
        await self.say(topic.partition(":")[2], self.dice.choice(_REPLIES))
        await self.socket.read(topic, seq)

    async def _fulfil(self, order: str) -> None:
        await self.watch(f"order:{order}", from_start=True)
        await asyncio.sleep(self.dice.uniform(0.2, 1.5))
        try:
            await self.command(order, "order.accepted", action="accept")
            await asyncio.sleep(self.dice.uniform(0.2, 1.5))
            number = f"PT{self.dice.randrange(10**9):09d}"
            await self.command(
                order, "order.shipped", action="ship", carrier="CTT", tracking_number=number
            )
        except SocketProblem as problem:
            # The buyer was faster with changing their mind.
            if problem.code not in {"order.already_cancelled", "order.cancel_requested"}:
                raise
            self.record.counts["orders cancelled under the seller's hands"] += 1

    async def _let_go(self, order: str) -> None:
        await self.command(order, "order.cancelled", action="approve_cancel")


@dataclass(kw_only=True)
class Buyer(Person):
    """Looks, asks, haggles, buys, pays most of the time, and says when the parcel came."""

    address: str = ""
    pace: float = 1.0
    """How slowly this one walks from stall to stall."""
    goods: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    replies: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])
    settled: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])

    async def move_in(self) -> None:
        self.address = (await self.api.post("/v1/me/addresses", ADDRESS))["id"]

    def react(self, event: Event) -> None:
        kind = event.body["kind"]
        if kind == "message" and event.body["sender"] != self.user:
            if event.topic in self.replies:
                self.replies[event.topic].set()
        elif kind == "order.shipped":
            self.soon(self._receive(event.body["order"]), "buyer receives")
        elif kind in {"order.completed", "order.cancelled", "order.expired"}:
            self.settled.setdefault(event.body["order"], asyncio.Event()).set()

    async def stroll(self, until: float) -> None:
        """Chat and buy until the market closes."""
        while time.monotonic() < until:
            good = self.dice.choice(self.goods)
            if self.dice.random() < 0.7:  # noqa: PLR2004
                await self._haggle(good)
            if self.dice.random() < 0.6 and time.monotonic() < until:  # noqa: PLR2004
                await self._buy([good, *self.dice.sample(self.goods, self.dice.randrange(3))])
            await asyncio.sleep(self.dice.uniform(0.5, 4.0) * self.pace)

    async def _haggle(self, good: dict[str, Any]) -> None:
        opened = await self.api.post(
            "/v1/conversations", {"shop": good["shop_id"], "product": good["product_id"]}
        )
        conversation, topic = opened["id"], f"conversation:{opened['id']}"
        if self.user not in self.record.members[conversation]:
            self.record.members[conversation].add(self.user)
            await self.watch(topic, from_start=True)
        for text in (
            self.dice.choice(_QUESTIONS),
            *self.dice.sample(_OFFERS, self.dice.randrange(3)),
        ):
            heard = self.replies[topic] = asyncio.Event()
            await self.say(conversation, text)
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                await heard.wait()
            await asyncio.sleep(self.dice.uniform(0.1, 1.0))

    async def _buy(self, goods: list[dict[str, Any]]) -> None:
        for good in goods:
            try:
                await self.api.put(
                    f"/v1/cart/lines/{self.dice.choice(good['variants'])}", {"quantity": 1}
                )
            except ApiProblem as problem:
                if problem.code != "cart.not_sellable":
                    raise
        cart = await self.api.get("/v1/cart")
        total = sum(money["amount_minor"] for money in cart["totals"])
        began = time.perf_counter()
        try:
            placed = await self.api.post(
                "/v1/checkout", {"address_id": self.address, "expected_total_minor": total}
            )
        except ApiProblem as problem:
            if problem.code not in {
                "stock.insufficient",
                "checkout.empty_cart",
                "checkout.not_sellable",
            }:
                raise
            self.record.counts["checkouts too late for the stock"] += 1
            await self._empty_cart(cart)
            return
        self.record.took("checkout: answered", time.perf_counter() - began)
        self.record.counts["checkouts"] += 1
        for order in placed["orders"]:
            self.settled.setdefault(order["id"], asyncio.Event())
            await self.watch(f"order:{order['id']}", from_start=True)
        await self._pay(placed)

    async def _empty_cart(self, cart: dict[str, Any]) -> None:
        for line in cart["lines"]:
            await self.api.put(f"/v1/cart/lines/{line['variant_id']}", {"quantity": 0})

    async def _pay(self, placed: dict[str, Any]) -> None:
        mood = self.dice.random()
        if mood < 0.06:  # noqa: PLR2004
            self.record.counts["checkouts never paid"] += 1
            return
        page = placed["payment"]["payment_page_url"]
        if page is None:
            page = await self._payment_page(placed["group"]["id"])
        if mood < 0.14:  # noqa: PLR2004
            self.record.counts["cards declined first"] += 1
            await self.on_page(page, {"how": "decline", "declined": "4000000000000002"})
        for order in placed["orders"]:
            self.record.commanding(order["id"], "order.paid")
        how = "twice" if mood > 0.9 else "pay"  # noqa: PLR2004
        await self.on_page(page, {"how": how})
        if 0.14 < mood < 0.22:  # noqa: PLR2004
            self.soon(self._change_mind(placed["orders"][0]["id"]), "buyer cancels")

    async def _payment_page(self, group: str) -> str:
        """The provider was away at checkout; a job makes the page."""
        async with asyncio.timeout(REPLY_TIMEOUT_S * 2):
            while True:
                view = await self.api.get(f"/v1/order-groups/{group}")
                if view["payment"]["payment_page_url"] is not None:
                    return str(view["payment"]["payment_page_url"])
                await asyncio.sleep(0.5)

    async def on_page(self, page: str, form: dict[str, str]) -> None:
        """Send the form of the provider's hosted page, as a browser would."""
        async with (
            aiohttp.ClientSession() as browser,
            browser.post(page, data=form, allow_redirects=False) as answer,
        ):
            if answer.status not in {200, 303}:
                self.record.problems.append(f"payment page answered {answer.status}")

    async def _change_mind(self, order: str) -> None:
        await asyncio.sleep(self.dice.uniform(0.1, 0.8))
        too_late = {"order.already_shipped", "order.already_expired", "order.already_cancelled"}
        reason = "Found it at home."
        try:
            await self.command(order, "order.cancelled", action="cancel", reason=reason)
        except SocketProblem as problem:
            if problem.code in too_late:
                return
            if problem.code != "order.ask_to_cancel":
                raise
            await self._ask_to_cancel(order, reason, too_late)

    async def _ask_to_cancel(self, order: str, reason: str, too_late: set[str]) -> None:
        """The stall has accepted it by now."""
        try:
            await self.command(
                order, "order.cancel_requested", action="request_cancel", reason=reason
            )
        except SocketProblem as problem:
            if problem.code not in too_late:
                raise

    async def _receive(self, order: str) -> None:
        await asyncio.sleep(self.dice.uniform(0.2, 1.5))
        await self.command(order, "order.delivered", action="deliver")
        await asyncio.sleep(self.dice.uniform(0.1, 0.5))
        await self.command(order, "order.completed", action="complete")
