"""A whole node with FEIRA_PAYMENTS=stripe, before a Stripe on loopback that judges what it is asked."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import msgspec
import pytest
from stripe import WebhookSignature

from feira.app import open_node
from feira.commands.doctor import examine
from feira.platform.domain.jobs import CancelPaymentIntent
from feira.platform.runtime.config import Config
from feira.sql.database import Tx
from tests.contracts.company import Company, open_company
from tests.contracts.folder import contracts_folder
from tests.contracts.stripe_provider import StripeProvider
from tests.integration.payments.floor import Floor

WEBHOOK_SECRET = "whsec_flow"


@dataclass(kw_only=True)
class Market:
    floor: Floor
    provider: StripeProvider
    company: Company
    told: int = 0

    async def deliver(self) -> None:
        """Stripe sends all that happened since the last time, twice and the newest first."""
        new = self.provider.events[self.told :]
        self.told += len(new)
        for event in [*reversed(new), *new]:
            body = msgspec.json.encode(event)
            signed = WebhookSignature.generate_signature_header(
                body.decode(), WEBHOOK_SECRET, timestamp=int(time.time())
            )
            async with self.floor.session.post(
                f"{self.floor.url}/v1/webhooks/stripe",
                data=body,
                headers={"Stripe-Signature": signed, "Content-Type": "application/json"},
            ) as answer:
                assert answer.status == 200, await answer.text()


@pytest.fixture
async def market(node_config: Config, fresh_database_dsn: str) -> AsyncIterator[Market]:
    provider = StripeProvider(contracts_folder())
    async with open_company(provider) as company:
        config = msgspec.structs.replace(
            node_config,
            postgres_dsn=fresh_database_dsn,
            payments="stripe",
            stripe_secret_key="sk_test_flow",
            stripe_webhook_secret=WEBHOOK_SECRET,
            stripe_api_url=company.url,
        )
        async with open_node(config) as running, aiohttp.ClientSession() as session:
            floor = Floor(market=running.market, session=session)
            yield Market(floor=floor, provider=provider, company=company)
            assert await floor.findings() == []
            assert company.wrong == []


async def test_a_buyer_pays_at_stripe_and_gets_a_part_back(market: Market) -> None:
    floor, provider = market.floor, market.provider
    bought = await floor.purchase(price_minor=10_000)
    payment = await floor.payment(bought.payment)
    assert payment.payment_page_url
    assert payment.payment_page_url.startswith("https://checkout.stripe.com/")
    assert payment.gateway_reference is not None

    provider.pay(payment.gateway_reference, decline="insufficient_funds")
    await market.deliver()
    await floor.settled(bought.payment, "failed")
    provider.pay(payment.gateway_reference)
    await market.deliver()
    await floor.settled(bought.payment, "captured")
    assert (await floor.books())["psp"] == 10_000 - 320

    refund = await floor.refund(bought.order, 4_000)
    await floor.run_jobs()
    [given] = [thing for thing in provider.things.values() if thing["object"] == "refund"]
    assert (given["amount"], given["metadata"]) == (4_000, {"client_reference": str(refund)})
    provider.move(given["id"], "succeeded")
    await market.deliver()
    assert await floor.refund_state(refund) == "requested"
    await floor.run_jobs()
    assert await floor.refund_state(refund) == "succeeded"


async def test_a_forged_event_is_refused(market: Market) -> None:
    async with market.floor.session.post(
        f"{market.floor.url}/v1/webhooks/stripe",
        data=b"{}",
        headers={"Stripe-Signature": "t=1,v1=00", "Content-Type": "application/json"},
    ) as answer:
        assert answer.status == 403


async def test_the_doctor_asks_stripe(market: Market) -> None:
    config = market.floor.market.config
    found = {one.name: one for one in await examine(config)}["payments"]
    assert (found.remedy, "/v1/webhooks/stripe" in found.told) == ("", True)
    silent = msgspec.structs.replace(config, stripe_webhook_secret="")
    found = {one.name: one for one in await examine(silent)}["payments"]
    assert (found.remedy, "without stripe_webhook_secret" in found.told) == ("", True)
    market.provider.refuse_status = 401
    market.provider.refuse_with = {"message": "Invalid API Key provided: sk_test_****flow"}
    found = {one.name: one for one in await examine(config)}["payments"]
    assert "stripe_" in found.remedy
    assert "sk_test" not in repr(found)
    market.provider.refuse_status = 0


async def test_an_unpaid_payment_that_the_provider_forgot_is_closed(market: Market) -> None:
    floor = market.floor
    bought = await floor.purchase()
    reference = (await floor.payment(bought.payment)).gateway_reference
    assert reference is not None
    del market.provider.things[reference]

    async def give_up(tx: Tx) -> None:
        tx.enqueue(CancelPaymentIntent(payment=bought.payment))

    await floor.market.database.transact(give_up)
    await floor.settled(bought.payment, "canceled")
