"""A guest's cart with a code, delivery and tax, over HTTP to the downloaded invoice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from aiohttp import ClientSession

from feira.app import RunningNode
from feira.platform.domain.ids import OrderGroupId
from feira.platform.domain.permissions import Principal
from feira.services.orders.orders import mark_paid
from feira.services.users.sessions import open_session
from feira.sql.database import Tx
from tests.integration.orders.memory_gateway import MemoryGateway
from tests.integration.orders.stage import Stage

PORTUGAL = {"country": "PT"}
POST = {
    "name": "Correio",
    "kind": "flat",
    "zones": [{"countries": ["PT"], "brackets": [{"price_minor": 390}], "free_from_minor": 5_000}],
    "days_min": 1,
    "days_max": 3,
}


@pytest.fixture
async def session(node: RunningNode) -> AsyncIterator[ClientSession]:
    async with ClientSession(f"http://127.0.0.1:{node.port}") as client:
        yield client


@pytest.fixture
def stage(node: RunningNode) -> Stage:
    return Stage(market=node.market, gateway=MemoryGateway())


async def token_of(stage: Stage, who: Principal) -> dict[str, str]:
    async def sign_in(tx: Tx) -> str:
        opened = await open_session(tx, who.user_id, user_agent="test", address=None)
        return stage.market.tokens.issue(who.user_id, opened.session_id, tx.now)[0]

    return {"Authorization": f"Bearer {await stage.transact(sign_in)}"}


async def test_a_guests_basket_with_a_code_is_quoted_bought_and_invoiced(
    stage: Stage, session: ClientSession
) -> None:
    async def ask(
        method: str, path: str, headers: dict[str, str], body: Any = None, status: int = 200
    ) -> Any:
        async with session.request(method, path, json=body, headers=headers) as answer:
            said: Any = await answer.json()
            assert answer.status == status, said
            return said

    shop, buyer = await stage.shop(), await stage.buyer()
    variant = await stage.variant(shop, price_minor=1_230)
    owner = await token_of(stage, shop.owner)
    await ask("POST", f"/v1/shops/{shop.id}/shipping-methods", owner, POST, 201)
    await ask("PUT", f"/v1/shops/{shop.id}/tax", owner, {"mode": "inclusive"})
    code = {"name": "Thanks", "kind": "fixed", "code": "THANKS", "amount_minor": 230}
    await ask("POST", f"/v1/shops/{shop.id}/promotions", owner, code, 201)

    cart = await ask("PUT", f"/v1/cart/lines/{variant}", {}, {"quantity": 1})
    guest = {"X-Cart-Token": cart["token"]}
    wishes = {"codes": ["THANKS", "WRONG-ONE"], "place": PORTUGAL}
    quoted = await ask("POST", "/v1/cart/quote", guest, wishes)
    assert quoted["total_minor"] == 1_230 - 230 + 390
    assert [one["reason"] for one in quoted["codes"]] == [None, "unknown"]
    assert [one["name"] for one in quoted["shops"][0]["methods"]] == ["Correio"]

    # The cart comes along, and the address says the same.
    mine = await token_of(stage, buyer.principal)
    signed = mine | guest
    again = await ask(
        "POST", "/v1/cart/quote", signed, {"codes": ["THANKS"], "address_id": str(buyer.address)}
    )
    assert again["total_minor"] == quoted["total_minor"]
    wanted = {
        "address_id": str(buyer.address),
        "expected_total_minor": quoted["total_minor"] + 1,
        "codes": ["THANKS"],
        "shipping": [
            {"shop_id": str(shop.id), "method_id": quoted["shops"][0]["methods"][0]["method_id"]}
        ],
    }
    changed = await ask("POST", "/v1/checkout", signed, wanted, 409)
    assert changed["code"] == "checkout.total_changed"
    assert changed["details"]["total_minor"] == 1_390
    wanted["expected_total_minor"] = changed["details"]["total_minor"]
    made = await ask("POST", "/v1/checkout", signed, wanted, 201)
    (order,) = made["orders"]
    assert order["shipping_method"]["name"] == "Correio"
    assert [one["code"] for one in order["discounts"]] == ["THANKS"]

    # Numbered when it is paid; then both sides download it, and a stranger does not.
    invoice = f"/v1/orders/{order['id']}/invoice"
    early = await ask("GET", f"{invoice}.pdf", mine, status=404)
    assert early["code"] == "invoice.not_issued"
    await stage.transact(lambda tx: mark_paid(tx, OrderGroupId(UUID(made["group"]["id"]))))
    for who in (mine, owner):
        async with session.get(f"{invoice}.pdf", headers=who) as answer:
            assert answer.status == 200
            assert answer.content_type == "application/pdf"
            assert (await answer.read()).startswith(b"%PDF-")
    async with session.get(f"{invoice}.csv", headers=mine) as answer:
        assert "attachment" in answer.headers["Content-Disposition"]
        assert "13.90" in (await answer.read()).decode("utf-8-sig")
    stranger = await token_of(stage, await stage.person())
    await ask("GET", f"{invoice}.pdf", stranger, status=404)
    async with session.get(f"/v1/shops/{shop.id}/orders.csv", headers=owner) as answer:
        assert (await answer.read()).decode("utf-8-sig").count("\r\n") == 2
