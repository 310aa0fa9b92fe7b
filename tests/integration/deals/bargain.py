"""A buyer and a shop over one thing, and what they do about it in one line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec

from feira.platform.domain.events import LoggedEvent
from feira.platform.domain.ids import ConversationId, VariantId
from feira.platform.domain.offers import (
    AcceptOffer,
    CounterOffer,
    DeclineOffer,
    MakeOffer,
    OfferCommand,
    WithdrawOffer,
)
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import conversation_topic
from feira.services.deals.offers import (
    OfferView,
    command_offer,
    expire_offers,
    get_offer,
    make_offer,
)
from feira.services.messaging.conversations import OpenConversation, open_conversation
from feira.services.messaging.messages import NewMessage, Outgoing, post_messages
from feira.services.payments.invariants import Finding, check
from tests.integration.orders.stage import Buyer, Shop, Stage

ACCEPT, DECLINE, WITHDRAW = AcceptOffer(), DeclineOffer(), WithdrawOffer()
STOCK_ADDS_UP = """
    SELECT count(*) FROM stock s
    WHERE s.variant_id = ANY ($1::uuid[]) AND (
        s.reserved <> (SELECT coalesce(sum(r.quantity), 0) FROM reservations r
                       WHERE r.variant_id = s.variant_id AND r.state = 'held')
        OR s.on_hand <> (SELECT coalesce(sum(m.quantity), 0) FROM stock_movements m
                         WHERE m.variant_id = s.variant_id))
"""


@dataclass(frozen=True, kw_only=True)
class Bargain:
    """`variant` lists at 10.00; the buyer is willing to pay less."""

    stage: Stage
    shop: Shop
    buyer: Buyer
    variant: VariantId
    conversation: ConversationId
    unsound_before: frozenset[Finding]
    """What other tests left in this database on purpose."""

    @property
    def seller(self) -> Principal:
        return self.shop.owner

    async def offers(self, unit_price_minor: int = 800, **terms: Any) -> OfferView:
        """The buyer makes an offer."""
        return await self.make(
            self.buyer.principal, unit_price_minor, address=self.buyer.address, **terms
        )

    async def proposes(self, unit_price_minor: int = 900, **terms: Any) -> OfferView:
        """The shop makes one."""
        return await self.make(self.seller, unit_price_minor, **terms)

    async def make(self, who: Principal, unit_price_minor: int, **terms: Any) -> OfferView:
        given: dict[str, Any] = {"variant": self.variant, "currency": self.shop.currency}
        wanted = MakeOffer(unit_price_minor=unit_price_minor, **(given | terms))
        return await self.stage.transact(lambda tx: make_offer(tx, who, self.conversation, wanted))

    async def do(self, who: Principal, offer: OfferView, command: OfferCommand) -> OfferView:
        config = self.stage.market.config
        return await self.stage.transact(
            lambda tx: command_offer(tx, config, who, offer.offer.id, command)
        )

    def counter(self, unit_price_minor: int, **terms: Any) -> CounterOffer:
        return CounterOffer(unit_price_minor=unit_price_minor, **terms)

    async def look(self, who: Principal, offer: OfferView) -> OfferView:
        async with self.stage.database.connection() as con:
            return await get_offer(con, who, offer.offer.id)

    async def status(self, offer: OfferView) -> str:
        return (await self.look(self.seller, offer)).offer.status

    async def run_out(self, offer: OfferView) -> None:
        """Let the offer's time pass without waiting for it."""
        async with self.stage.database.connection() as con:
            await con.execute("UPDATE offers SET expires_at = now() WHERE id = $1", offer.offer.id)

    async def sweep(self) -> int:
        return await self.stage.transact(expire_offers)

    async def say(self, who: Principal, text: str = "Bom dia") -> int:
        message = NewMessage(client_id=uuid4(), text=text)
        async with self.stage.database.connection() as con:
            outgoing = Outgoing(conversation=self.conversation, sender=who.user_id, message=message)
            posted = await post_messages(con, [outgoing])
        return posted[self.conversation].events[0].seq

    async def log(self) -> list[LoggedEvent]:
        return await self.stage.events(conversation_topic(self.conversation))

    async def story(self) -> list[str]:
        """The kinds of all entries of the thread; the numbers are checked on the way."""
        entries = await self.log()
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        return [msgspec.json.decode(entry.body)["kind"] for entry in entries]

    async def orders(self) -> int:
        """How many orders the buyer has."""
        async with self.stage.database.connection() as con:
            return await con.fetchval(
                "SELECT count(*) FROM orders WHERE buyer_id = $1", self.buyer.principal.user_id
            )

    async def require_sound(self) -> None:
        """Stock and ledger add up, and no reservation is without its order."""
        async with self.stage.database.connection() as con:
            assert await con.fetchval(STOCK_ADDS_UP, [self.variant]) == 0
            found = frozenset(await check(con)) - self.unsound_before
        assert not found, found


async def open_bargain(
    stage: Stage, *, on_hand: int = 10, shop: Shop | None = None, variant: VariantId | None = None
) -> Bargain:
    shop = shop or await stage.shop()
    variant = variant or await stage.variant(shop, on_hand=on_hand)
    buyer = await stage.buyer()
    wanted = OpenConversation(shop=shop.id, product=stage.product_of(variant))
    conversation = await stage.transact(lambda tx: open_conversation(tx, buyer.principal, wanted))
    async with stage.database.connection() as con:
        unsound = frozenset(await check(con))
    return Bargain(
        stage=stage,
        shop=shop,
        buyer=buyer,
        variant=variant,
        conversation=conversation,
        unsound_before=unsound,
    )
