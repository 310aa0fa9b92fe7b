"""What goes back of an order with discounts, delivery and tax on top is what was paid for it, to the cent."""

from __future__ import annotations

from feira.platform.domain.order_commands import LineQuantity
from feira.platform.domain.refunds import RefundOrder, RefundPrice, price_refund
from feira.platform.domain.shipping import Bracket, Zone
from feira.services.orders.checkout import CheckOut, check_out
from feira.services.orders.promotions import NewPromotion, create_shop_promotion
from feira.services.orders.quotes import QuoteCart, quote_cart
from feira.services.orders.shipping_methods import ShippingMethodInput, add_method
from feira.services.orders.tax_rates import (
    CountryRates,
    RateInput,
    ShopTax,
    replace_rates,
    write_shop_tax,
)
from feira.services.payments.refunds import lock_sold
from tests.integration.orders.stage import Stage

POST = ShippingMethodInput(
    name="Post",
    kind="flat",
    zones=(Zone(brackets=(Bracket(price_minor=499),)),),
    days_min=1,
    days_max=3,
)


async def test_lines_and_delivery_give_back_exactly_what_was_paid_for_them(stage: Stage) -> None:
    shop = await stage.shop()
    admin = await stage.person("admin")
    rates = CountryRates(rates=[RateInput(basis_points=2_300, name="IVA")])
    await stage.transact(lambda tx: replace_rates(tx, admin, "PT", rates))
    await stage.transact(
        lambda tx: write_shop_tax(tx, shop.owner, shop.id, ShopTax(mode="exclusive"))
    )
    await stage.transact(lambda tx: add_method(tx, shop.owner, shop.id, POST))
    new = NewPromotion(name="A tenth", kind="percent", basis_points=1_000)
    await stage.transact(lambda tx: create_shop_promotion(tx, shop.owner, shop.id, new))
    buyer = await stage.buyer()
    for price in (1_999, 333, 5):
        await stage.put(buyer, await stage.variant(shop, price_minor=price), 3)
    wanted = QuoteCart(address_id=buyer.address)
    quoted = await quote_cart(stage.market, buyer.principal, buyer.shopper, wanted)
    agreed = CheckOut(address_id=buyer.address, expected_total_minor=quoted.total_minor)
    made = await stage.transact(
        lambda tx: check_out(tx, stage.market.config, buyer.principal, agreed)
    )
    await stage.pay(made)
    (order,) = (await stage.group(made, buyer.principal)).orders
    # 70.11 less a tenth, 4.99 delivery, and 23 % on both.
    assert (order.items_minor, order.discount_minor, order.shipping_minor) == (7_011, 701, 499)
    assert order.tax_minor == 1_566
    assert order.total_minor == 8_375

    sold = await stage.transact(lambda tx: lock_sold(tx, order.id))
    by_line = {
        line.id: line.total_minor - line.discount_minor + line.tax_minor for line in order.lines
    }
    for line in order.lines:
        whole = RefundOrder(lines=[LineQuantity(line=line.id, quantity=3)], reason="It broke.")
        price = price_refund(sold, whole)
        assert isinstance(price, RefundPrice)
        assert price.amount_minor == by_line[line.id]
    delivery = price_refund(sold, RefundOrder(shipping=True, reason="Late."))
    assert isinstance(delivery, RefundPrice)
    assert delivery.amount_minor == order.total_minor - sum(by_line.values())
