"""What checkouts of the demo market depend on: taxes, ways of sending, and promotions of the stalls and the market."""

from __future__ import annotations

from typing import Final

from feira.platform.domain.ids import ShopId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.shipping import Bracket, Zone
from feira.services.orders.promotions import (
    NewPromotion,
    create_market_promotion,
    create_shop_promotion,
)
from feira.services.orders.shipping_methods import ShippingMethodInput, add_method
from feira.services.orders.tax_rates import (
    CountryRates,
    RateInput,
    ShopTax,
    replace_rates,
    write_shop_tax,
)
from feira.sql.database import Tx

_TAXES: Final = CountryRates(
    rates=[
        RateInput(basis_points=2_300, name="IVA"),
        RateInput(basis_points=600, name="IVA", category="books"),
        RateInput(basis_points=600, name="IVA", category="food-drink"),
        RateInput(basis_points=2_200, name="IVA", region="Madeira"),
    ]
)
_NEAR: Final = ("ES", "FR", "DE", "IT", "NL", "BE")
_METHODS: Final = (
    ShippingMethodInput(
        name="Correio",
        kind="flat",
        zones=(
            Zone(countries=("PT",), brackets=(Bracket(price_minor=390),), free_from_minor=5_000),
            Zone(countries=_NEAR, brackets=(Bracket(price_minor=990),)),
            Zone(brackets=(Bracket(price_minor=1_990),)),
        ),
        days_min=2,
        days_max=4,
    ),
    ShippingMethodInput(
        name="Express",
        kind="value",
        zones=(
            Zone(
                countries=("PT",),
                brackets=(Bracket(up_to=10_000, price_minor=790), Bracket(price_minor=1_190)),
            ),
        ),
        days_min=1,
        days_max=1,
        position=1,
    ),
)
_TENTH_OFF: Final = NewPromotion(
    name="A tenth off", kind="percent", code="OBRIGADO", basis_points=1_000, per_buyer_max=1
)
_WELCOME: Final = NewPromotion(
    name="Welcome to the market",
    kind="fixed",
    code="BEMVINDO",
    amount_minor=500,
    currency="EUR",
    minimum_minor=2_000,
    uses_max=1_000,
    per_buyer_max=1,
)


async def furnish_market(tx: Tx, admin: Principal) -> None:
    """The table of taxes, and a code that the market pays for."""
    await replace_rates(tx, admin, "PT", _TAXES)
    await create_market_promotion(tx, admin, _WELCOME)


async def furnish_stall(tx: Tx, owner: Principal, shop_id: ShopId) -> None:
    """Prices with the tax inside, two ways of sending, and a code that the stall pays for."""
    await write_shop_tax(tx, owner, shop_id, ShopTax(mode="inclusive", tax_number="PT501964843"))
    for method in _METHODS:
        await add_method(tx, owner, shop_id, method)
    await create_shop_promotion(tx, owner, shop_id, _TENTH_OFF)
