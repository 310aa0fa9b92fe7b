"""Promotions, ways of sending and taxes, from a cart to the books, on a real database."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from feira.platform.domain.errors import Conflict, FeiraError, InvalidInput, Rejected
from feira.platform.domain.ids import OrderId, PromotionId
from feira.platform.domain.order_commands import Cancel
from feira.platform.domain.permissions import Principal
from feira.platform.domain.shipping import Bracket, Destination, Zone
from feira.services.orders.carts import Shopper
from feira.services.orders.checkout import CheckedOut, CheckOut, check_out
from feira.services.orders.pricing import PricedItem, price_agreed
from feira.services.orders.promotions import (
    ChangePromotion,
    NewPromotion,
    PromotionView,
    archive_promotion,
    change_promotion,
    create_market_promotion,
    create_shop_promotion,
    read_promotion,
)
from feira.services.orders.quotes import Place, QuoteCart, QuoteView, quote_cart
from feira.services.orders.shipping_methods import ShippingMethodInput, add_method
from feira.services.orders.tax_rates import (
    CountryRates,
    RateInput,
    ShopTax,
    replace_rates,
    write_shop_tax,
)
from feira.services.payments.postings import post_completed
from feira.services.products.catalogue import load_sellable, read_product
from feira.services.products.editing import update_variant
from feira.services.products.variants import VariantChange
from tests.integration.orders.stage import Buyer, Shop, Stage, patiently

IVA = CountryRates(
    rates=[
        RateInput(basis_points=2_300, name="IVA"),
        RateInput(basis_points=600, name="IVA", category="books"),
    ]
)


async def quote(stage: Stage, buyer: Buyer, **wanted: Any) -> QuoteView:
    return await quote_cart(
        stage.market,
        buyer.principal,
        buyer.shopper,
        QuoteCart(address_id=buyer.address, **wanted),
    )


async def check_out_at(stage: Stage, buyer: Buyer, total_minor: int, *codes: str) -> CheckedOut:
    wanted = CheckOut(address_id=buyer.address, expected_total_minor=total_minor, codes=list(codes))
    return await stage.transact(
        lambda tx: check_out(tx, stage.market.config, buyer.principal, wanted)
    )


async def promote(stage: Stage, shop: Shop, **wanted: Any) -> PromotionView:
    new = NewPromotion(name="Of the shop", **wanted)
    return await stage.transact(lambda tx: create_shop_promotion(tx, shop.owner, shop.id, new))


async def promote_market(stage: Stage, **wanted: Any) -> PromotionView:
    admin = await stage.person("admin")
    new = NewPromotion(name="Of the market", **wanted)
    return await stage.transact(lambda tx: create_market_promotion(tx, admin, new))


async def sends_for(stage: Stage, shop: Shop, price_minor: int, *countries: str) -> None:
    method = ShippingMethodInput(
        name="Post",
        kind="flat",
        zones=(Zone(countries=countries, brackets=(Bracket(price_minor=price_minor),)),),
        days_min=1,
        days_max=3,
    )
    await stage.transact(lambda tx: add_method(tx, shop.owner, shop.id, method))


async def look_at(stage: Stage, who: Principal, promotion: PromotionId) -> PromotionView:
    async with stage.database.connection() as con:
        return await read_promotion(con, who, promotion)


async def cancel(stage: Stage, buyer: Buyer, order: OrderId) -> None:
    view = await stage.order(order, buyer.principal)
    await stage.do(
        buyer.principal, order, Cancel(expected_version=view.version, reason="Not any more.")
    )


async def complete_in_books(stage: Stage, *orders: OrderId) -> None:
    """Post the completion of paid orders, as their machine does at its end."""
    for order in orders:
        await stage.transact(lambda tx, order=order: post_completed(tx, order))


async def test_three_shops_share_a_market_discount_to_the_cent_from_the_cart_to_the_books(
    stage: Stage,
) -> None:
    shops = [await stage.shop() for _ in range(3)]
    variants = [await stage.variant(shop, price_minor=10_000) for shop in shops]
    admin = await stage.person("admin")
    await stage.transact(lambda tx: replace_rates(tx, admin, "PT", IVA))
    await stage.transact(
        lambda tx: write_shop_tax(tx, shops[0].owner, shops[0].id, ShopTax(mode="exclusive"))
    )
    await sends_for(stage, shops[1], 499)
    code = f"ALL-{uuid4().hex[:8].upper()}"
    await promote_market(
        stage,
        code=code,
        kind="fixed",
        amount_minor=10_000,
        currency="EUR",
        shops=[shop.id for shop in shops],
    )
    buyer = await stage.buyer()
    for variant in variants:
        await stage.put(buyer, variant)
    quoted = await quote(stage, buyer, codes=[code])
    # Books are taxed at 6 %, on what the shop gets: the market's discount is no less of that.
    assert [shop.discount_minor for shop in quoted.shops] == [3_334, 3_333, 3_333]
    assert [shop.tax_minor for shop in quoted.shops] == [600, 0, 0]
    assert [shop.shipping_minor for shop in quoted.shops] == [0, 499, 0]
    assert quoted.total_minor == 30_000 - 10_000 + 600 + 499
    assert quoted.is_complete
    assert quoted.codes[0].saved_minor == 10_000

    made = await check_out_at(stage, buyer, quoted.total_minor, code)
    await stage.pay(made)
    group = await stage.group(made, buyer.principal)
    assert [order.total_minor for order in group.orders] == [7_266, 7_166, 6_667]
    assert sum(order.total_minor for order in group.orders) == group.payment.amount_minor
    ids = [order.id for order in group.orders]
    assert [await stage.ledger("hold", str(order)) for order in ids] == [7_266, 7_166, 6_667]
    before = await stage.ledger("promotion", "")
    await complete_in_books(stage, *ids)
    # Each shop has its goods' price, its delivery and its tax, less a tenth of the goods.
    received = [await stage.ledger("pending", str(shop.id)) for shop in shops]
    assert received == [9_600, 9_499, 9_000]
    assert await stage.ledger("promotion", "") - before == 10_000
    assert [await stage.ledger("hold", str(order)) for order in ids] == [0, 0, 0]


async def test_a_shops_own_code_lowers_its_price_its_commission_and_nothing_of_the_markets(
    stage: Stage,
) -> None:
    shop = await stage.shop()
    variant = await stage.variant(shop, price_minor=10_000)
    await promote(stage, shop, code="OWN-20", kind="percent", basis_points=2_000)
    buyer = await stage.buyer()
    await stage.put(buyer, variant)
    made = await check_out_at(stage, buyer, 8_000, "OWN-20")
    await stage.pay(made)
    (order,) = (await stage.group(made, buyer.principal)).orders
    seen = await stage.order(order.id, shop.owner)
    assert (seen.discount_minor, seen.commission_minor) == (2_000, 800)
    await complete_in_books(stage, order.id)
    assert await stage.ledger("pending", str(shop.id)) == 7_200


async def test_codes_say_what_they_save_or_why_not(stage: Stage) -> None:
    shop = await stage.shop()
    variant = await stage.variant(shop, price_minor=1_000)
    await promote(
        stage, shop, code="BIG-BASKET", kind="percent", basis_points=500, minimum_minor=1_001
    )
    await promote(stage, shop, code="GOOD-ONE", kind="percent", basis_points=500)
    buyer = await stage.buyer()
    await stage.put(buyer, variant)
    quoted = await quote(stage, buyer, codes=["BIG-BASKET", "GOOD-ONE", "NO-SUCH"])
    assert [(code.code, code.saved_minor, code.reason) for code in quoted.codes] == [
        ("BIG-BASKET", 0, "below_minimum"),
        ("GOOD-ONE", 50, None),
        ("NO-SUCH", 0, "unknown"),
    ]
    assert all(code.message for code in quoted.codes if code.reason)


async def test_a_total_that_is_another_by_now_is_a_conflict_with_todays_figures(
    stage: Stage,
) -> None:
    shop = await stage.shop()
    variant = await stage.variant(shop, price_minor=1_000)
    own = await promote(stage, shop, code="GONE-SOON", kind="percent", basis_points=1_000)
    buyer = await stage.buyer()
    await stage.put(buyer, variant)
    total = (await quote(stage, buyer, codes=["GONE-SOON"])).total_minor
    await stage.transact(
        lambda tx: change_promotion(
            tx, shop.owner, own.id, ChangePromotion(version=1, active=False)
        )
    )
    with pytest.raises(Conflict) as error:
        await check_out_at(stage, buyer, total, "GONE-SOON")
    assert error.value.code == "checkout.total_changed"
    assert error.value.details["total_minor"] == 1_000
    codes: Any = error.value.details["codes"]
    assert codes[0]["reason"] == "inactive"
    assert (await stage.stock(variant)) == (10, 0)


async def test_ten_buyers_race_for_three_uses_and_cancelled_orders_give_theirs_back(
    stage: Stage,
) -> None:
    shop = await stage.shop()
    variant = await stage.variant(shop, price_minor=1_000, on_hand=100)
    own = await promote(stage, shop, code="FIRST-3", kind="percent", basis_points=1_000, uses_max=3)
    buyers = [await stage.buyer() for _ in range(10)]
    for buyer in buyers:
        await stage.put(buyer, variant)
    results = await asyncio.gather(
        *(patiently(lambda b=buyer: check_out_at(stage, b, 900, "FIRST-3")) for buyer in buyers)
    )
    won = [at for at, result in enumerate(results) if isinstance(result, CheckedOut)]
    assert len(won) == 3
    lost = {result.code for result in results if isinstance(result, FeiraError)}
    assert lost <= {"checkout.promotion_used_up", "checkout.total_changed"}
    assert (await look_at(stage, shop.owner, own.id)).used == 3
    assert await stage.stock(variant) == (100, 3)

    made = results[won[0]]
    assert isinstance(made, CheckedOut)
    group = await stage.group(made, buyers[won[0]].principal)
    await cancel(stage, buyers[won[0]], group.orders[0].id)
    assert (await look_at(stage, shop.owner, own.id)).used == 2
    loser = next(at for at in range(10) if at not in won)
    await check_out_at(stage, buyers[loser], 900, "FIRST-3")
    assert (await look_at(stage, shop.owner, own.id)).used == 3


async def test_one_person_uses_a_code_as_often_as_it_says_and_a_cancelled_use_is_none(
    stage: Stage,
) -> None:
    shop = await stage.shop()
    variant = await stage.variant(shop, price_minor=1_000)
    await promote(stage, shop, code="ONCE", kind="percent", basis_points=1_000, per_buyer_max=1)
    buyer = await stage.buyer()
    await stage.put(buyer, variant)
    made = await check_out_at(stage, buyer, 900, "ONCE")
    await stage.put(buyer, variant)
    quoted = await quote(stage, buyer, codes=["ONCE"])
    assert (quoted.codes[0].reason, quoted.total_minor) == ("used_by_you", 1_000)
    (order,) = (await stage.group(made, buyer.principal)).orders
    await cancel(stage, buyer, order.id)
    await check_out_at(stage, buyer, 900, "ONCE")


async def test_a_markets_use_ends_with_the_last_order_that_had_it(stage: Stage) -> None:
    shops = [await stage.shop() for _ in range(2)]
    buyer = await stage.buyer()
    for shop in shops:
        await stage.put(buyer, await stage.variant(shop, price_minor=1_000))
    code = f"TWO-{uuid4().hex[:8].upper()}"
    promotion = await promote_market(
        stage, code=code, kind="percent", basis_points=1_000, uses_max=1
    )
    made = await check_out_at(stage, buyer, 1_800, code)
    admin = await stage.person("admin")
    orders = (await stage.group(made, buyer.principal)).orders
    await cancel(stage, buyer, orders[0].id)
    assert (await look_at(stage, admin, promotion.id)).used == 1
    await cancel(stage, buyer, orders[1].id)
    assert (await look_at(stage, admin, promotion.id)).used == 0


async def test_two_closers_of_one_checkout_at_once_give_its_use_back(stage: Stage) -> None:
    shops = [await stage.shop() for _ in range(2)]
    code = f"PAR-{uuid4().hex[:8].upper()}"
    promotion = await promote_market(
        stage, code=code, kind="percent", basis_points=1_000, uses_max=50
    )
    admin = await stage.person("admin")
    for _ in range(4):
        buyer = await stage.buyer()
        for shop in shops:
            await stage.put(buyer, await stage.variant(shop, price_minor=1_000))
        made = await check_out_at(stage, buyer, 1_800, code)
        orders = (await stage.group(made, buyer.principal)).orders
        await asyncio.gather(*(cancel(stage, buyer, order.id) for order in orders))
    assert (await look_at(stage, admin, promotion.id)).used == 0


async def test_what_cannot_be_sent_there_is_not_bought(stage: Stage) -> None:
    shop = await stage.shop()
    await sends_for(stage, shop, 900, "DE", "FR")
    variant = await stage.variant(shop, price_minor=1_000)
    buyer = await stage.buyer()
    await stage.put(buyer, variant)
    quoted = await quote(stage, buyer)
    assert quoted.shops[0].shipping_problem == "no_method_reaches"
    assert not quoted.is_complete
    with pytest.raises(Rejected) as error:
        await check_out_at(stage, buyer, quoted.total_minor)
    assert error.value.code == "checkout.shipping_unavailable"


async def test_what_a_shop_sends_by_weight_costs_by_the_weight_of_its_part(stage: Stage) -> None:
    shop = await stage.shop()
    light, heavy = Bracket(up_to=1_000, price_minor=300), Bracket(up_to=5_000, price_minor=700)
    method = ShippingMethodInput(
        name="By weight",
        kind="weight",
        zones=(Zone(brackets=(light, heavy)),),
        days_min=1,
        days_max=3,
    )
    await stage.transact(lambda tx: add_method(tx, shop.owner, shop.id, method))
    variant = await stage.variant(shop, price_minor=1_000)
    async with stage.database.connection() as con:
        product = await read_product(con, stage.product_of(variant), shop.owner, str)
    change = VariantChange(version=product.version, weight_g=400)
    await stage.transact(lambda tx: update_variant(tx, shop.owner, variant, change))
    buyer = await stage.buyer()
    for quantity, price in ((2, 300), (3, 700), (12, 700)):
        await stage.put(buyer, variant, quantity)
        assert (await quote(stage, buyer)).shipping_minor == price
    await stage.put(buyer, variant, 13)
    assert (await quote(stage, buyer)).shops[0].shipping_problem == "no_method_reaches"


async def test_a_guest_sees_delivery_and_taxes_for_a_place(stage: Stage) -> None:
    shop = await stage.shop()
    await sends_for(stage, shop, 900)
    variant = await stage.variant(shop, price_minor=1_000)
    buyer = await stage.buyer()
    await stage.put(buyer, variant)
    here = QuoteCart(place=Place(country="PT"))
    with pytest.raises(Rejected) as empty:
        await quote_cart(stage.market, None, Shopper(user_id=None, guest_token=None), here)
    assert empty.value.code == "checkout.empty_cart"
    open_yet = await quote_cart(stage.market, buyer.principal, buyer.shopper, QuoteCart())
    assert (open_yet.total_minor, open_yet.is_complete) == (1_000, False)
    placed = await quote_cart(stage.market, buyer.principal, buyer.shopper, here)
    assert (placed.total_minor, placed.is_complete) == (1_900, True)


async def test_an_archived_code_is_free_again_and_orders_keep_theirs(stage: Stage) -> None:
    shop = await stage.shop()
    variant = await stage.variant(shop, price_minor=1_000)
    first = await promote(stage, shop, code="AGAIN", kind="percent", basis_points=1_000)
    with pytest.raises(Conflict) as taken:
        await promote(stage, shop, code="AGAIN", kind="percent", basis_points=2_000)
    assert taken.value.code == "promotion.code_taken"
    buyer = await stage.buyer()
    await stage.put(buyer, variant)
    made = await check_out_at(stage, buyer, 900, "AGAIN")
    await stage.transact(lambda tx: archive_promotion(tx, shop.owner, first.id))
    await promote(stage, shop, code="AGAIN", kind="percent", basis_points=2_000)
    (order,) = (await stage.group(made, buyer.principal)).orders
    assert order.discount_minor == 100
    assert [discount.name for discount in order.discounts] == ["Of the shop"]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"kind": "percent"}, "promotion.kind_incomplete"),
        ({"kind": "fixed", "basis_points": 1}, "promotion.kind_incomplete"),
        ({"kind": "percent", "basis_points": 1, "currency": "JPY"}, "promotion.other_currency"),
        (
            {"kind": "percent", "basis_points": 1, "products": [UUID(int=1)]},
            "promotion.unknown_product",
        ),
        (
            {"kind": "percent", "basis_points": 1, "categories": ["none-such"]},
            "promotion.unknown_category",
        ),
        (
            {"kind": "percent", "basis_points": 1, "shops": [UUID(int=1)]},
            "promotion.shops_not_yours",
        ),
    ],
)
async def test_a_promotion_that_makes_no_sense_is_refused(
    stage: Stage, wanted: dict[str, Any], code: str
) -> None:
    shop = await stage.shop()
    with pytest.raises(InvalidInput) as error:
        await promote(stage, shop, **wanted)
    assert error.value.code == code


async def test_an_agreed_price_has_its_tax_inside_and_nothing_on_top(stage: Stage) -> None:
    shop = await stage.shop()
    variant = await stage.variant(shop, price_minor=1_060)
    admin = await stage.person("admin")
    await stage.transact(lambda tx: replace_rates(tx, admin, "PT", IVA))
    await stage.transact(
        lambda tx: write_shop_tax(tx, shop.owner, shop.id, ShopTax(mode="exclusive"))
    )
    await sends_for(stage, shop, 900)
    async with stage.database.connection() as con:
        (goods,) = await load_sellable(con, [variant])
        now = await con.fetchval("SELECT now()")
        item = PricedItem(variant=goods, quantity=1, unit_price_minor=1_060)
        price = await price_agreed(con, item, Destination(country="PT"), now)
    assert (price.total_minor, price.orders[0].tax_included_minor) == (1_060, 60)
