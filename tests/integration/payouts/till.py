"""What tests of payouts do: earn money, let clearances end and slots come, and look at both sides' books."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from feira.jobs.attempts import Attempts
from feira.jobs.handlers import HANDLERS
from feira.platform.domain.ids import PayoutId, ShopId
from feira.platform.domain.permissions import Principal
from feira.services.payments.releases import release_due
from feira.services.payouts.making import Payer, pay_due_shops, run_payouts
from feira.services.payouts.rows import PayoutRow, load_payout
from feira.sql.jobs import queue_due
from tests.integration.payments.floor import GOOD_CARD, Floor, Purchase


@dataclass(kw_only=True)
class Till:
    floor: Floor

    async def sale(self, *, price_minor: int = 10_000, card: str = GOOD_CARD) -> Purchase:
        """A completed order at a shop whose account at the provider is in order; its money is in clearance."""
        bought = await self.floor.purchase(price_minor=price_minor)
        await self.floor.confirm(bought.payment, card)
        await self.floor.settled(bought.payment, "captured")
        await self.open_account(bought.shop.id)
        await self.floor.complete(bought)
        return bought

    async def cleared(self, *, price_minor: int = 10_000) -> Purchase:
        """Past its clearance: 90 % of the price is available."""
        bought = await self.sale(price_minor=price_minor)
        await self.end_clearances()
        return bought

    async def paid_out(self, *, price_minor: int = 10_000) -> tuple[Purchase, PayoutId]:
        """A slot came, and the payout was made; nobody was asked to move it yet."""
        bought = await self.cleared(price_minor=price_minor)
        return bought, await self.pay(bought.shop.id)

    async def open_account(self, shop: ShopId, name: str = "Banca", **behaviour: str) -> None:
        account = await self.floor.gateway.create_account(
            shop_name=name, country="PT", idempotency_key=f"account:{shop}"
        )
        status, _ = await self.floor.sandbox(
            "POST", f"/v1/test/accounts/{account.reference}", {"status": "verified", **behaviour}
        )
        assert status == 200
        await self.execute(
            "UPDATE shops SET provider_account = $2, provider_status = 'verified' WHERE id = $1",
            shop,
            account.reference,
        )

    async def banks_do(self, shop: ShopId, behaviour: str) -> None:
        account = await self.floor.value("SELECT provider_account FROM shops WHERE id = $1", shop)
        status, answer = await self.floor.sandbox(
            "POST", f"/v1/test/accounts/{account}", {"payouts_do": behaviour}
        )
        assert status == 200, answer

    async def end_clearances(self) -> None:
        await self.execute("UPDATE releases SET due_at = now() WHERE paused_at IS NULL")
        while await self.floor.market.database.transact(release_due):
            pass

    async def let_slot_come(self, shop: ShopId) -> None:
        await self.execute(
            "UPDATE payout_settings SET next_slot_at = now() - interval '1 minute'"
            " WHERE shop_id = $1",
            shop,
        )

    async def pay(self, shop: ShopId) -> PayoutId:
        await self.let_slot_come(shop)
        assert await run_payouts(self.floor.market) >= 1
        (payout_id,) = await self.payouts(shop)
        return payout_id

    async def pay_batch(self) -> int:
        market = self.floor.market
        return await market.database.transact(lambda tx: pay_due_shops(tx, Payer.of(market)))

    async def payouts(self, shop: ShopId) -> list[PayoutId]:
        async with self.floor.market.database.connection() as con:
            rows = await con.fetch("SELECT id FROM payouts WHERE shop_id = $1 ORDER BY id", shop)
        return [PayoutId(row["id"]) for row in rows]

    async def payout(self, payout_id: PayoutId) -> PayoutRow:
        async with self.floor.market.database.connection() as con:
            return await load_payout(con, payout_id)

    async def run_jobs(self) -> None:
        """Carry out every job that is due, of every kind."""
        attempts = Attempts(self.floor.market, HANDLERS)
        while True:
            async with self.floor.market.database.connection() as con, con.transaction():
                due = await queue_due(con, limit=50, lease_s=60)
            if not due:
                return
            await asyncio.gather(*(attempts.perform(one.id, one.attempt) for one in due))

    async def until(self, payout_id: PayoutId, state: str, *, within_s: float = 20) -> PayoutRow:
        """Run jobs until the payout is there. What waits to be tried again is not waited for."""
        async with asyncio.timeout(within_s):
            while True:
                await self.run_jobs()
                row = await self.payout(payout_id)
                if row.state == state:
                    return row
                await self.execute("UPDATE payouts SET retry_at = now() WHERE retry_at > now()")
                await self.execute("UPDATE jobs SET run_at = now() WHERE state = 'ready'")
                await asyncio.sleep(0.03)

    async def effects(self, kind: str) -> list[dict[str, Any]]:
        """What the provider says was done there."""
        _, answer = await self.floor.sandbox("GET", "/v1/test/effects")
        return [effect for effect in answer["effects"] if effect["kind"] == kind]

    async def money(self, shop: ShopId) -> dict[str, int]:
        """The shop's own accounts, without zeros."""
        async with self.floor.market.database.connection() as con:
            rows = await con.fetch(
                "SELECT a.kind, b.balance_minor FROM ledger_accounts a"
                " JOIN ledger_balances b ON b.account_id = a.id WHERE a.owner = $1::text",
                str(shop),
            )
        return {row["kind"]: row["balance_minor"] for row in rows if row["balance_minor"]}

    async def headers(self, who: Principal) -> dict[str, str]:
        return {"Authorization": f"Bearer {await self.floor.token(who)}"}

    async def execute(self, statement: str, *arguments: Any) -> None:
        async with self.floor.market.database.connection() as con:
            await con.execute(statement, *arguments)
