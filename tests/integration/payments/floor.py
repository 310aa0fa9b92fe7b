"""What tests do with money: buy through the services, pay at the sandbox, run the jobs, look into the books."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

import aiohttp

from feira.jobs.attempts import Attempts
from feira.jobs.ledger import HANDLERS as LEDGER_HANDLERS
from feira.jobs.payments import HANDLERS
from feira.platform.domain.ids import OrderId, PaymentId, RefundId
from feira.platform.domain.order_commands import Accept, Complete, Deliver, Ship
from feira.platform.domain.permissions import Principal
from feira.platform.gateways.payments.sandbox.client import SandboxGateway
from feira.platform.gateways.payments.sandbox.signature import api_key
from feira.services.market import Market
from feira.services.orders.checkout import CheckedOut
from feira.services.payments import invariants
from feira.services.payments.introduction import ensure_intent
from feira.services.payments.invariants import Finding
from feira.services.payments.payments import PaymentRow, load_payment
from feira.services.payments.refunds import request_refund
from feira.services.users.sessions import open_session
from feira.sql.database import Tx
from feira.sql.jobs import queue_due
from tests.integration.orders.stage import Buyer, Shop, Stage

GOOD_CARD = "4242424242424242"


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """One order for one shop, with its payment."""

    buyer: Buyer
    shop: Shop
    order: OrderId
    payment: PaymentId
    made: CheckedOut


@dataclass(kw_only=True)
class Floor:
    market: Market
    session: aiohttp.ClientSession
    broken_on_purpose: bool = False

    @property
    def gateway(self) -> SandboxGateway:
        return cast("SandboxGateway", self.market.payments)

    @property
    def stage(self) -> Stage:
        """People, shops and goods. Its gateway in memory is not part of this play."""
        return Stage(market=self.market, gateway=cast("Any", None))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.market.config.port}"

    async def purchase(
        self,
        *,
        price_minor: int = 10_000,
        currency: str = "EUR",
        quantity: int = 1,
        shop: Shop | None = None,
    ) -> Purchase:
        """An order that waits for its money, known to the provider."""
        stage = self.stage
        buyer, shop = await stage.buyer(), shop or await stage.shop(currency=currency)
        variant = await stage.variant(shop, price_minor=price_minor)
        made, orders = await stage.buy(buyer, variant, quantity=quantity)
        await ensure_intent(self.market, made.payment_id)
        return Purchase(buyer=buyer, shop=shop, order=orders[0], payment=made.payment_id, made=made)

    async def paid(
        self,
        *,
        price_minor: int = 10_000,
        currency: str = "EUR",
        quantity: int = 1,
        shop: Shop | None = None,
    ) -> Purchase:
        bought = await self.purchase(
            price_minor=price_minor, currency=currency, quantity=quantity, shop=shop
        )
        await self.confirm(bought.payment)
        await self.settled(bought.payment, "captured")
        return bought

    async def complete(self, bought: Purchase) -> None:
        """All the way from paid to completed."""
        stage, owner, buyer = self.stage, bought.shop.owner, bought.buyer.principal
        await stage.do(owner, bought.order, Accept())
        await stage.do(owner, bought.order, Ship(carrier="CTT", tracking_number="1"))
        await stage.do(buyer, bought.order, Deliver())
        await stage.do(buyer, bought.order, Complete())

    async def confirm(self, payment: PaymentId, card: str = GOOD_CARD, **options: int) -> int:
        """The buyer pays at the sandbox; returns the status of its answer."""
        reference = (await self.payment(payment)).gateway_reference
        return (
            await self.sandbox(
                "POST", f"/v1/payment_intents/{reference}/confirm", {"card": card, **options}
            )
        )[0]

    async def sandbox(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Call the sandbox company's API as anybody with the key may."""
        headers = {**self.sandbox_headers, **headers}
        async with self.session.request(
            method, f"{self.url}/sandbox{path}", json=body, headers=headers
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    @property
    def sandbox_headers(self) -> dict[str, str]:
        key = api_key(self.market.config.sandbox_webhook_secret)
        return {"Authorization": f"Bearer {key}"}

    async def sandbox_through(self, session: aiohttp.ClientSession, key: str) -> int:
        """Make an intent with this key; the status of the answer."""
        body = {"amount_minor": 100, "currency": "EUR", "return_url": "https://x.example"}
        headers = {**self.sandbox_headers, "Idempotency-Key": key}
        async with session.post(
            f"{self.url}/sandbox/v1/payment_intents", json=body, headers=headers
        ) as answer:
            return answer.status

    async def fault(self, operation: str, kind: str, calls: int = 1) -> None:
        body = {"operation": operation, "kind": kind, "calls": calls}
        status, _ = await self.sandbox("POST", "/v1/faults", body)
        assert status == 200

    async def api(
        self, method: str, path: str, who: Principal | None = None, body: object = None
    ) -> tuple[int, Any]:
        """Call the market's own API."""
        headers = {} if who is None else {"Authorization": f"Bearer {await self.token(who)}"}
        async with self.session.request(method, self.url + path, json=body, headers=headers) as a:
            return a.status, await a.json(content_type=None)

    async def run_jobs(self) -> None:
        """Carry out every payment job that is due. Other kinds have no handler here, and end."""
        attempts = Attempts(self.market, {**HANDLERS, **LEDGER_HANDLERS})
        while True:
            async with self.market.database.connection() as con, con.transaction():
                due = await queue_due(con, limit=50, lease_s=60)
            if not due:
                return
            await asyncio.gather(*(attempts.perform(one.id, one.attempt) for one in due))

    async def hurry(self) -> None:
        """Let no job wait for its time, and run them all."""
        await self.value("UPDATE jobs SET run_at = now() WHERE state = 'ready'")
        await self.run_jobs()

    async def until(self, check: Callable[[], Awaitable[bool]], *, within_s: float = 15) -> None:
        """Run jobs and look again until it is so."""
        async with asyncio.timeout(within_s):
            await self.run_jobs()
            while not await check():
                await asyncio.sleep(0.02)
                await self.run_jobs()

    async def settled(self, payment: PaymentId, state: str) -> None:
        async def is_there() -> bool:
            return (await self.payment(payment)).state == state

        await self.until(is_there)

    async def payment(self, payment: PaymentId) -> PaymentRow:
        async with self.market.database.connection() as con:
            return await load_payment(con, payment)

    async def refund(self, order: OrderId, amount_minor: int) -> RefundId:
        async def work(tx: Tx) -> RefundId:
            return await request_refund(tx, order, amount_minor, "a test")

        return await self.market.database.transact(work)

    async def value(self, statement: str, *args: Any) -> Any:
        async with self.market.database.connection() as con:
            return await con.fetchval(statement, *args)

    async def refund_state(self, refund: RefundId) -> str:
        return await self.value("SELECT state::text FROM refunds WHERE id = $1", refund)

    async def provider_refunded(self, payment: PaymentId) -> int:
        """What the provider's own books say it gave back."""
        reference = (await self.payment(payment)).gateway_reference
        _, intent = await self.sandbox("GET", f"/v1/payment_intents/{reference}")
        return intent["refunded_minor"]

    async def books(self, currency: str = "EUR") -> dict[str, int]:
        """The sums of all accounts of a kind, in their normal direction, without zeros."""
        async with self.market.database.connection() as con:
            rows = await con.fetch(
                "SELECT a.kind, sum(CASE a.normal WHEN 'debit' THEN p.amount_minor ELSE -p.amount_minor END)::bigint AS sum"
                " FROM ledger_postings p JOIN ledger_accounts a ON a.id = p.account_id"
                " WHERE a.currency = $1 GROUP BY a.kind",
                currency,
            )
        return {row["kind"]: row["sum"] for row in rows if row["sum"]}

    async def findings(self) -> list[Finding]:
        async with self.market.database.connection() as con:
            return await invariants.check(con)

    async def token(self, who: Principal) -> str:
        async def open_one(tx: Tx) -> tuple[Any, Any]:
            refresh = await open_session(tx, who.user_id, user_agent=uuid4().hex, address=None)
            return refresh.session_id, tx.now

        session, now = await self.market.database.transact(open_one)
        return self.market.tokens.issue(who.user_id, session, now)[0]
