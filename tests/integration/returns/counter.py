"""What tests do at the counter where things come back: one delivered order, and one line for each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from feira.platform.domain.events import LoggedEvent
from feira.platform.domain.ids import OrderId, OrderLineId, ReturnId, VariantId
from feira.platform.domain.order_commands import Accept, Complete, Deliver, Ship
from feira.platform.domain.permissions import Principal
from feira.platform.domain.return_commands import AnyReturnCommand, RequestReturn
from feira.platform.domain.return_events import Return
from feira.platform.domain.topics import conversation_topic, order_topic
from feira.services.orders.views import OrderView
from feira.services.returns.deadlines import end_one_deadline
from feira.services.returns.returns import (
    OrderReturns,
    ReturnView,
    command_return,
    list_returns,
    request_return,
)
from tests.integration.orders.stage import Buyer, Shop, Stage, kind


@dataclass(frozen=True, kw_only=True)
class Counter:
    """`variants` cost 10.00 and 2.50; three of each were bought."""

    stage: Stage
    shop: Shop
    buyer: Buyer
    order: OrderId
    variants: tuple[VariantId, ...]
    lines: tuple[OrderLineId, ...]

    @property
    def seller(self) -> Principal:
        return self.shop.owner

    async def ask(self, quantity: int = 1, *, line: int = 0, **wanted: Any) -> Return:
        """The buyer asks to give units of a line back."""
        units = {"line": self.lines[line], "quantity": quantity}
        if "replacement" in wanted:
            units["replacement"] = wanted.pop("replacement")
        return await self.ask_for([units], **wanted)

    async def ask_for(self, units: list[dict[str, Any]], **wanted: Any) -> Return:
        asked = msgspec.convert({"cause": "damaged", "lines": units} | wanted, RequestReturn)
        config = self.stage.market.config
        view = await self.stage.transact(
            lambda tx: request_return(tx, config, self.buyer.principal, self.order, asked)
        )
        assert view.actions == ("withdraw",)
        return view.returned

    async def do(self, who: Principal, returned: ReturnId, command: AnyReturnCommand) -> Return:
        return (await self.try_to(who, returned, command)).returned

    async def try_to(
        self, who: Principal, returned: ReturnId, command: AnyReturnCommand
    ) -> ReturnView:
        config = self.stage.market.config
        return await self.stage.transact(
            lambda tx: command_return(tx, config, who, returned, command)
        )

    async def listed(self, who: Principal | None = None) -> OrderReturns:
        config = self.stage.market.config
        async with self.stage.database.connection() as con:
            return await list_returns(con, config, who or self.buyer.principal, self.order)

    async def time_passes(self, returned: ReturnId) -> None:
        """Let the deadline of a return pass without waiting for it, and the timer come round."""
        async with self.stage.database.connection() as con:
            await con.execute(
                "UPDATE return_deadlines SET due_at = now() - interval '1 s' WHERE return_id = $1",
                returned,
            )
        config = self.stage.market.config
        while await self.stage.transact(lambda tx: end_one_deadline(tx, config)):
            pass

    async def view(self, order: OrderId | None = None) -> OrderView:
        return await self.stage.order(order or self.order, self.buyer.principal)

    async def story(self) -> list[str]:
        """The kinds of the order's log that speak of returns and refunds."""
        return _after_sale(await self.stage.events(order_topic(self.order)))

    async def thread(self, returned: Return) -> list[str]:
        assert returned.conversation is not None
        return _after_sale(await self.stage.events(conversation_topic(returned.conversation)))


def _after_sale(log: list[LoggedEvent]) -> list[str]:
    return [name for name in map(kind, log) if name.startswith(("return.", "refund."))]


async def deliver(
    stage: Stage, shop: Shop, order: OrderId, buyer: Buyer, *, complete: bool = False
) -> None:
    await stage.do(shop.owner, order, Accept())
    await stage.do(shop.owner, order, Ship(carrier="CTT", tracking_number="1"))
    await stage.do(buyer.principal, order, Deliver())
    if complete:
        await stage.do(buyer.principal, order, Complete())


async def open_counter(
    stage: Stage, *, complete: bool = False, shipped: bool = True, shop: Shop | None = None
) -> Counter:
    shop, buyer = shop or await stage.shop(), await stage.buyer()
    variants = [await stage.variant(shop, price_minor=price) for price in (1_000, 250)]
    made, (order,) = await stage.buy(buyer, *variants, quantity=3)
    await stage.pay(made)
    if shipped:
        await deliver(stage, shop, order, buyer, complete=complete)
    view = await stage.order(order, buyer.principal)
    return Counter(
        stage=stage,
        shop=shop,
        buyer=buyer,
        order=order,
        variants=tuple(line.variant_id for line in view.lines),
        lines=tuple(line.id for line in view.lines),
    )
