"""Carriers and tax services that are asked over the network: before the transaction, once, and never guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from feira.platform.domain.errors import Conflict, Unavailable
from feira.platform.domain.shipping import Parcel, ShippingRate
from feira.platform.domain.taxes import LineTax, Taxes, TaxRequest
from feira.services.orders.checkout import CheckOut, check_out
from feira.services.orders.quotes import QuoteCart, ask_outside, quote_cart
from feira.services.orders.tax_rates import ShopTax, write_shop_tax
from tests.integration.orders.stage import Buyer, Shop, Stage


@dataclass(kw_only=True)
class Carrier:
    """A carrier in memory: 2.00 and a cent a gram."""

    away: bool = False
    asked: list[Parcel] = field(default_factory=list)

    async def quote(self, parcels: Sequence[Parcel]) -> list[tuple[ShippingRate, ...]]:
        if self.away:
            raise Unavailable("carrier.away", "The carrier cannot be reached.")
        self.asked += parcels
        return [
            (
                ShippingRate(
                    method_id="van",
                    name="Van",
                    price_minor=200 + parcel.units,
                    days_min=1,
                    days_max=1,
                ),
            )
            for parcel in parcels
        ]

    async def close(self) -> None:
        pass


@dataclass(kw_only=True)
class TaxOffice:
    """A tax service in memory: a tenth on everything."""

    asked: list[TaxRequest] = field(default_factory=list)

    async def tax(self, requests: Sequence[TaxRequest]) -> list[Taxes]:
        self.asked += requests
        return [
            Taxes(
                lines=tuple(_tenth(line.amount_minor) for line in request.lines),
                shipping=_tenth(request.shipping_minor),
            )
            for request in requests
        ]

    async def close(self) -> None:
        pass


def _tenth(amount_minor: int) -> LineTax:
    return LineTax(name="VAT", basis_points=1_000, tax_minor=amount_minor // 10)


@dataclass(kw_only=True)
class Scene:
    stage: Stage
    carrier: Carrier
    office: TaxOffice
    shop: Shop
    buyer: Buyer


@pytest.fixture
async def scene(stage: Stage) -> Scene:
    carrier, office = Carrier(), TaxOffice()
    outside = replace(stage, market=replace(stage.market, carriers=carrier, tax_service=office))
    shop = await outside.shop()
    tax = ShopTax(mode="exclusive")
    await outside.transact(lambda tx: write_shop_tax(tx, shop.owner, shop.id, tax))
    buyer = await outside.buyer()
    await outside.put(buyer, await outside.variant(shop, price_minor=1_000), 2)
    return Scene(stage=outside, carrier=carrier, office=office, shop=shop, buyer=buyer)


async def test_each_question_is_asked_once_and_the_checkout_buys_at_the_answers(
    scene: Scene,
) -> None:
    stage, buyer = scene.stage, scene.buyer
    here = QuoteCart(address_id=buyer.address)
    quoted = await quote_cart(stage.market, buyer.principal, buyer.shopper, here)
    # 20.00 and 2.02 by van, and a tenth on both.
    assert quoted.total_minor == 2_000 + 202 + 200 + 20
    wanted = CheckOut(address_id=buyer.address, expected_total_minor=quoted.total_minor)
    said = await ask_outside(stage.market, buyer.principal, buyer.shopper, wanted)
    asked = len(scene.carrier.asked), len(scene.office.asked)
    # By the quote, and by the checkout; the tax once the delivery's price is known.
    assert asked == (2, 2)
    made = await stage.transact(
        lambda tx: check_out(tx, stage.market.config, buyer.principal, wanted, said=said)
    )
    assert (len(scene.carrier.asked), len(scene.office.asked)) == asked
    (order,) = (await stage.group(made, buyer.principal)).orders
    assert (order.total_minor, order.tax_minor) == (2_422, 220)
    assert order.shipping_method is not None
    assert order.shipping_method.name == "Van"


async def test_a_cart_that_changes_after_the_answers_buys_nothing(scene: Scene) -> None:
    stage, buyer = scene.stage, scene.buyer
    wanted = CheckOut(address_id=buyer.address, expected_total_minor=2_422)
    said = await ask_outside(stage.market, buyer.principal, buyer.shopper, wanted)
    another = await stage.variant(scene.shop, price_minor=1)
    await stage.put(buyer, another)
    with pytest.raises(Conflict) as error:
        await stage.transact(
            lambda tx: check_out(tx, stage.market.config, buyer.principal, wanted, said=said)
        )
    assert error.value.code == "checkout.cart_changed"
    assert await stage.stock(another) == (10, 0)


async def test_while_a_carrier_is_away_nobody_checks_out_for_less(scene: Scene) -> None:
    scene.carrier.away = True
    wanted = CheckOut(address_id=scene.buyer.address, expected_total_minor=2_000)
    with pytest.raises(Unavailable):
        await ask_outside(scene.stage.market, scene.buyer.principal, scene.buyer.shopper, wanted)
