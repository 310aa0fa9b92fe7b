"""Carts, checkout and orders over HTTP, on a served node with the sandbox provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientSession

from feira.app import RunningNode
from feira.jobs.payments import handle_create_intent
from feira.jobs.run import JobRun
from feira.platform.domain.ids import JobId, PaymentId
from feira.platform.domain.jobs import CreatePaymentIntent
from feira.platform.domain.permissions import Principal
from feira.platform.gateways.payments.sandbox.signature import api_key
from feira.services.users.sessions import RefreshToken, open_session
from feira.sql.database import Tx
from tests.integration.orders.memory_gateway import MemoryGateway
from tests.integration.orders.stage import Buyer, Shop, Stage


@dataclass(kw_only=True)
class Api:
    """Requests as one caller."""

    session: ClientSession
    headers: dict[str, str]

    async def __call__(
        self, method: str, path: str, body: Any = None, *, status: int = 200, **headers: str
    ) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(
            method, path, json=body, headers=self.headers | named
        ) as response:
            answer = await response.json()
            assert response.status == status, answer
            self.last_headers = response.headers
            return answer


@pytest.fixture
async def session(node: RunningNode) -> AsyncIterator[ClientSession]:
    async with ClientSession(f"http://127.0.0.1:{node.port}") as client:
        yield client


@pytest.fixture
def stage(node: RunningNode) -> Stage:
    return Stage(market=node.market, gateway=MemoryGateway())


async def signed_in(stage: Stage, session: ClientSession, who: Principal) -> Api:
    async def open_one(tx: Tx) -> tuple[RefreshToken, str]:
        opened = await open_session(tx, who.user_id, user_agent="test", address=None)
        token, _ = stage.market.tokens.issue(who.user_id, opened.session_id, tx.now)
        return opened, token

    _, token = await stage.transact(open_one)
    return Api(session=session, headers={"Authorization": f"Bearer {token}"})


async def shopping(stage: Stage) -> tuple[Shop, Buyer, str]:
    shop = await stage.shop()
    variant = await stage.variant(shop, price_minor=1_250)
    return shop, await stage.buyer(), f"/v1/cart/lines/{variant}"


async def test_a_guest_fills_a_cart_signs_in_and_checks_out(
    stage: Stage, session: ClientSession
) -> None:
    _, buyer, line = await shopping(stage)
    guest = Api(session=session, headers={})
    cart = await guest("PUT", line, {"quantity": 2})
    token = guest.last_headers["X-Cart-Token"]
    assert cart["token"] == token
    again = await guest("GET", "/v1/cart", X_Cart_Token=token)
    assert ([item["quantity"] for item in again["lines"]], again["token"]) == ([2], None)
    assert "X-Cart-Token" not in guest.last_headers

    api = await signed_in(stage, session, buyer.principal)
    merged = await api("GET", "/v1/cart", X_Cart_Token=token)
    assert merged["totals"] == [{"amount_minor": 2_500, "currency": "EUR"}]
    assert (await guest("GET", "/v1/cart", X_Cart_Token=token))["lines"] == []

    body = {"address_id": str(buyer.address), "expected_total_minor": 2_500}
    made, same = await asyncio.gather(
        *(api("POST", "/v1/checkout", body, status=201, Idempotency_Key="c-1") for _ in range(2))
    )
    assert made["group"]["id"] == same["group"]["id"]
    assert made["payment"]["payment_page_url"] is not None
    shown = await api("GET", f"/v1/order-groups/{made['group']['id']}")
    assert shown == made
    listed = await api("GET", "/v1/orders")
    assert [item["id"] for item in listed["items"]] == [made["orders"][0]["id"]]


async def test_a_checkout_stands_while_the_provider_is_away_and_a_job_catches_up(
    stage: Stage, session: ClientSession
) -> None:
    _, buyer, line = await shopping(stage)
    api = await signed_in(stage, session, buyer.principal)
    await api("PUT", line, {"quantity": 1})
    config = stage.market.config
    provider = Api(
        session=session,
        headers={"Authorization": f"Bearer {api_key(config.sandbox_webhook_secret)}"},
    )
    fault = {"operation": "payment_intents.create", "kind": "refuse", "calls": 20}
    await provider("POST", "/sandbox/v1/faults", fault)

    body = {"address_id": str(buyer.address), "expected_total_minor": 1_250}
    made = await api("POST", "/v1/checkout", body, status=201)
    assert made["orders"][0]["status"] == "pending_payment"
    assert (made["payment"]["state"], made["payment"]["payment_page_url"]) == ("created", None)

    await provider("POST", "/sandbox/v1/faults", fault | {"calls": 0})
    job = CreatePaymentIntent(payment=PaymentId(made["payment"]["id"]))
    await handle_create_intent(JobRun(stage.market, JobId(uuid4()), 1), job)
    shown = await api("GET", f"/v1/order-groups/{made['group']['id']}")
    assert shown["payment"]["state"] == "pending"
    assert shown["payment"]["payment_page_url"] is not None


async def test_commands_go_through_the_orders_actor_and_need_a_key(
    stage: Stage, session: ClientSession
) -> None:
    shop, buyer, line = await shopping(stage)
    api = await signed_in(stage, session, buyer.principal)
    seller = await signed_in(stage, session, shop.owner)
    await api("PUT", line, {"quantity": 1})
    body = {"address_id": str(buyer.address), "expected_total_minor": 1_250}
    made = await api("POST", "/v1/checkout", body, status=201)
    order = f"/v1/orders/{made['orders'][0]['id']}"

    accept = {"action": "accept"}
    problem = await seller("POST", f"{order}/commands", accept, status=400)
    assert (problem["code"], problem["field"]) == ("idempotency.key_missing", "Idempotency-Key")
    early = await seller("POST", f"{order}/commands", accept, status=409, Idempotency_Key="k")
    assert early["code"] == "order.not_paid"
    assert early["details"]["status"] == "pending_payment"
    wrong = {"action": "ship", "carrier": "DHL"}
    problem = await seller("POST", f"{order}/commands", wrong, status=400, Idempotency_Key="k")
    assert problem["code"] == "request.invalid"

    cancel = {"action": "cancel", "reason": "changed my mind"}
    for _ in range(2):
        view = await api("POST", f"{order}/commands", cancel, Idempotency_Key="c")
        assert (view["status"], view["actions"]) == ("cancelled", [])
    timeline = await api("GET", f"{order}/timeline?limit=10")
    assert [entry["body"]["kind"] for entry in timeline["items"]] == [
        "order.created",
        "order.cancelled",
    ]
    sales = await seller("GET", f"/v1/shops/{shop.id}/orders?status=cancelled")
    assert [item["status"] for item in sales["items"]] == ["cancelled"]


async def test_strangers_find_nothing_and_guests_are_asked_to_sign_in(
    stage: Stage, session: ClientSession
) -> None:
    shop, buyer, line = await shopping(stage)
    api = await signed_in(stage, session, buyer.principal)
    await api("PUT", line, {"quantity": 1})
    body = {"address_id": str(buyer.address), "expected_total_minor": 1_250}
    made = await api("POST", "/v1/checkout", body, status=201)
    order = f"/v1/orders/{made['orders'][0]['id']}"
    paths = (
        order,
        f"{order}/timeline",
        f"/v1/order-groups/{made['group']['id']}",
        f"/v1/shops/{shop.id}/orders",
    )
    stranger = await signed_in(stage, session, await stage.person())
    guest = Api(session=session, headers={})
    for path in paths:
        await stranger("GET", path, status=404)
        await guest("GET", path, status=401)
    await guest("POST", "/v1/checkout", body, status=401)
    await stranger(
        "POST", f"{order}/commands", {"action": "accept"}, status=404, Idempotency_Key="k"
    )
