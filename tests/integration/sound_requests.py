"""One sound request for each endpoint: what is spoiled by tests of bad input, and tried by everybody in the matrix."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

import msgspec

from tests.integration.cast import HOME, Cast
from tests.integration.cast_checkout import checkout_bodies

# What an endpoint cannot do without.
QUERIES: Final = {
    "GET /v1/shops/{shop}/statement": "?currency=EUR&first_day=2026-01-01&last_day=2026-01-31",
    "GET /v1/shops/{shop}/statement.csv": "?currency=EUR&first_day=2026-01-01&last_day=2026-01-31",
    "GET /v1/conversations/{conversation}/search": "?q=bom",
}


def bodies(cast: Cast) -> dict[str, Any]:
    """A body for each endpoint that takes one: every field there, and nothing wrong with it."""
    secret = "s" * 43
    email = f"{uuid4().hex}@cast.example"
    variant = {
        "sku": f"SKU-{uuid4().hex[:8]}",
        "options": {"Size": "M"},
        "price_minor": 700,
        "weight_g": 450,
        "on_hand": 3,
    }
    address = msgspec.to_builtins(HOME) | {"phone": "+351 210 000 000"}
    return checkout_bodies() | {
        "POST /v1/auth/sign-up": {
            "email": email,
            "password": "long enough a word",
            "display_name": "Rui",
        },
        "POST /v1/auth/verify-email": {"token": secret},
        "POST /v1/auth/resend-verification": {"email": email},
        "POST /v1/auth/login": {"email": email, "password": "wrong", "refresh_in": "body"},
        "POST /v1/auth/refresh": {"refresh_token": secret},
        "POST /v1/auth/logout": {"refresh_token": secret},
        "POST /v1/auth/password-reset": {"email": email},
        "POST /v1/auth/password-reset/confirm": {
            "token": secret,
            "password": "long enough a word",
        },
        "PATCH /v1/me": {
            "version": 1,
            "display_name": "Rui",
            "locale": "pt-PT",
            "time_zone": "Europe/Lisbon",
            "last_seen_visible": True,
        },
        "POST /v1/me/addresses": address,
        "PUT /v1/me/addresses/{address}": address,
        "POST /v1/shops": {
            "name": "Another shop",
            "country": "PT",
            "currency": "EUR",
            "description": "Fine things.",
            "slug": f"shop-{uuid4().hex[:12]}",
        },
        "PATCH /v1/shops/{shop}": {
            "version": 1,
            "name": "Another name",
            "description": "Finer things.",
            "ship_within_days": 5,
        },
        "POST /v1/admin/shops/{shop}/approve": {"reason": "Good."},
        "POST /v1/admin/shops/{shop}/reject": {"reason": "Not good."},
        "POST /v1/admin/shops/{shop}/suspend": {"reason": "Not good."},
        "POST /v1/admin/shops/{shop}/reinstate": {"reason": "Good again."},
        "POST /v1/shops/{shop}/products": {
            "title": "A chair",
            "description": "To sit on.",
            "category": "books",
            "variants": [variant],
        },
        "PATCH /v1/products/{product}": {
            "version": 1,
            "title": "A stool",
            "description": "To sit on.",
            "category": "books",
        },
        "POST /v1/products/{product}/publish": {"version": 1},
        "POST /v1/products/{product}/archive": {"version": 1},
        "PUT /v1/products/{product}/variants": {"version": 1, "variants": [variant]},
        "PATCH /v1/variants/{variant}": {
            "version": 1,
            "sku": variant["sku"],
            "options": {"Size": "L"},
            "price_minor": 900,
            "weight_g": 500,
            "active": True,
        },
        "PUT /v1/variants/{variant}/stock": {"adjust": 1},
        "POST /v1/products/{product}/media": {"content_type": "image/png"},
        "PUT /v1/cart/lines/{variant}": {"quantity": 1},
        "POST /v1/checkout": {
            "address_id": cast.ids["address"],
            "expected_total_minor": 1_000,
            "currency": "EUR",
            "codes": ["SPRING-25"],
            "shipping": [],
        },
        "POST /v1/orders/{order}/commands": {
            "action": "ship",
            "expected_version": 1,
            "carrier": "CTT",
            "tracking_number": "RR123",
            "lines": [{"line": str(uuid4()), "quantity": 1}],
        },
        "POST /v1/orders/{order}/refunds": {
            "lines": [{"line": str(uuid4()), "quantity": 1}],
            "shipping": True,
            "cause": "damaged",
            "reason": "Broken on the way.",
        },
        "POST /v1/orders/{order}/returns": {
            "kind": "return",
            "remedy": "refund",
            "cause": "damaged",
            "lines": [{"line": str(uuid4()), "quantity": 1}],
            "text": "The box was open.",
            "conversation": cast.ids["conversation"],
        },
        "PUT /v1/shops/{shop}/return-window": {"return_window_s": 2_592_000},
        "POST /v1/returns/{return_id}/commands": {
            "action": "receive",
            "expected_version": 1,
            "lines": [{"line": str(uuid4()), "quantity": 1, "condition": "used", "restock": True}],
        },
        "PUT /v1/admin/commission": {"basis_points": 1_000},
        "POST /v1/operations/ledger/differences/{difference}/acknowledge": {
            "reason": "The bank took it twice and gave it back."
        },
        "POST /v1/admin/commission/rules": {
            "label": "A good neighbour.",
            "shop_id": cast.ids["shop"],
            "currency": "EUR",
            "price_from_minor": 100,
            "price_below_minor": 100_000,
            "basis_points": 800,
            "fixed_minor": 10,
            "min_minor": 10,
            "max_minor": 5_000,
        },
        "POST /v1/admin/commission/rules/{rule}/end": {"at": "2099-01-01T00:00:00Z"},
        "POST /v1/admin/commission/preview": {
            "currency": "EUR",
            "lines": [{"product_id": cast.ids["product"], "unit_price_minor": 700, "quantity": 2}],
            "at": "2099-01-01T00:00:00Z",
        },
        "POST /v1/conversations": {"shop": cast.ids["shop"], "product": cast.ids["product"]},
        "POST /v1/conversations/{conversation}/messages": {
            "client_id": str(uuid4()),
            "text": "Bom dia",
            "reply_to": int(cast.ids["message"]),
        },
        "PATCH /v1/conversations/{conversation}/messages/{message}": {
            "client_id": str(uuid4()),
            "text": "Boa tarde",
        },
        "POST /v1/conversations/{conversation}/messages/{message}/reactions": {
            "client_id": str(uuid4()),
            "emoji": "👍",
            "remove": False,
        },
        "POST /v1/conversations/{conversation}/support-request": {"reason": "It is broken."},
        "POST /v1/conversations/{conversation}/members": {"user": str(cast.people["support"].user)},
        "POST /v1/conversations/{conversation}/attachments": {
            "name": "chair.pdf",
            "content_type": "application/pdf",
            "size_bytes": 1_000,
        },
        "PUT /v1/conversations/{conversation}/cursor": {"read_seq": 0, "delivered_seq": 0},
        "POST /v1/conversations/{conversation}/offers": {
            "variant": cast.ids["variant"],
            "quantity": 2,
            "unit_price_minor": 900,
            "currency": "EUR",
            "valid_s": 3_600,
            "address": cast.ids["address"],
        },
        "POST /v1/offers/{offer}/commands": {
            "action": "counter",
            "quantity": 2,
            "unit_price_minor": 850,
            "valid_s": 3_600,
            "address": cast.ids["address"],
        },
        "POST /v1/reports": {
            "conversation": cast.ids["conversation"],
            "reason": "spam",
            "text": "Again and again.",
        },
        "POST /v1/admin/reports/{report}/decision": {
            "action": "dismiss",
            "why": "They know each other.",
        },
        "POST /v1/operations/jobs/kinds/{kind}/pause": {"reason": "The provider is away."},
        "PUT /v1/shops/{shop}/payout-settings": {
            "schedule": {
                "frequency": "monthly",
                "weekday": 2,
                "month_day": 31,
                "zone": "Europe/Lisbon",
            },
            "minimums": [{"currency": "EUR", "minimum_minor": 500}],
        },
        "POST /v1/shops/{shop}/payouts": {"currency": "EUR"},
        "POST /v1/admin/payouts/{payout}/commands": {"action": "hold", "reason": "Looks odd."},
        "PUT /v1/admin/shops/{shop}/payout-terms": {"clearance_s": 3_600, "paused_reason": "Odd."},
        "PUT /v1/admin/payout-policy": {"clearance_s": 604_800, "paused_reason": ""},
        "POST /v1/chargebacks/{chargeback}/evidence": {
            "explanation": "It was delivered.",
            "product_description": "A chair.",
            "customer_communication": "Thank you!",
            "carrier": "CTT",
            "tracking_number": "RR1",
            "shipped_on": "2026-03-01",
        },
        "POST /v1/shops/{shop}/api-keys": {
            "name": "Our books",
            "scopes": ["orders:read"],
            "expires_at": "2099-01-01T00:00:00Z",
        },
        "POST /v1/notifications/read": {"ids": [str(uuid4())]},
    }
