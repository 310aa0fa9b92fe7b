"""What the owner's shop has for checkouts: a promotion and a way of sending."""

from __future__ import annotations

import itertools
from typing import Any, Final

from feira.platform.domain.ids import ShopId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.shipping import Bracket, Zone
from feira.services.orders.promotions import NewPromotion, create_shop_promotion
from feira.services.orders.shipping_methods import ShippingMethodInput, add_method
from feira.sql.database import Tx

_numbers = itertools.count(1)
# Far away, so that nothing else of the cast's costs more.
METHOD: Final = ShippingMethodInput(
    name="Post",
    kind="flat",
    zones=(Zone(countries=("NZ",), brackets=(Bracket(price_minor=1_500),)),),
    days_min=2,
    days_max=9,
    active=False,
)


async def new_promotion(tx: Tx, owner: Principal, shop: ShopId) -> str:
    code = f"CAST-{next(_numbers)}"
    wanted = NewPromotion(name="Spring", kind="percent", basis_points=500, code=code)
    return str((await create_shop_promotion(tx, owner, shop, wanted)).id)


async def new_method(tx: Tx, owner: Principal, shop: ShopId) -> str:
    return str((await add_method(tx, owner, shop, METHOD)).id)


def checkout_bodies() -> dict[str, Any]:
    """Sound bodies of this room's endpoints."""
    number = next(_numbers)
    promotion = {
        "name": "Spring",
        "kind": "percent",
        "code": f"BODY-{number}",
        "basis_points": 1_000,
        "cap_minor": 5_000,
        "minimum_minor": 1_000,
        "currency": "EUR",
        "products": [],
        "categories": ["books"],
        "shops": [],
        "stackable": True,
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2036-01-01T00:00:00Z",
        "uses_max": 10,
        "per_buyer_max": 1,
    }
    method = {
        "name": "Post",
        "kind": "weight",
        "zones": [
            {
                "countries": ["NZ"],
                "regions": ["Otago"],
                "brackets": [{"up_to": 500, "price_minor": 450}, {"price_minor": 900}],
                "free_from_minor": 9_000,
            }
        ],
        "days_min": 1,
        "days_max": 4,
        "position": 1,
        "active": False,
    }
    return {
        "POST /v1/shops/{shop}/promotions": promotion,
        "POST /v1/admin/promotions": promotion,
        "PATCH /v1/promotions/{promotion}": {
            "version": 1,
            "name": "Summer",
            "active": False,
            "ends_at": "2037-01-01T00:00:00Z",
            "uses_max": 20,
            "per_buyer_max": 2,
        },
        "POST /v1/shops/{shop}/shipping-methods": method,
        "PUT /v1/shops/{shop}/shipping-methods/{method}": method,
        "PUT /v1/shops/{shop}/tax": {"mode": "inclusive", "tax_number": "PT 501 964 843"},
        "PUT /v1/admin/tax-rates/{country}": {
            "rates": [
                {"basis_points": 1_500, "name": "GST", "region": "", "category": None},
                {"basis_points": 0, "name": "GST", "region": "Otago", "category": "books"},
            ]
        },
        "POST /v1/cart/quote": {
            "place": {"country": "PT", "region": "Lisboa", "postal_code": "1000-001"},
            "currency": "EUR",
            "codes": ["SPRING-25"],
            "shipping": [],
        },
    }
