"""Asking a provider for a refund until it is known what came of it: one refund at the provider, whatever goes wrong.

    written down --ask--> answered
        |                    |
        '<-- no answer ------'   the next time: list first; adopt what is there; else the same key again
        '<-- an answer that    the next time: list first; adopt what is there; only where nothing is, a new key
             will never change, or a key that the provider has forgotten

Before each call stands a commit that says so, so that whoever comes after a crash knows that there may be something
to find.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from feira.platform.domain.errors import Unavailable
from feira.platform.domain.ids import RefundId
from feira.platform.gateways.payments.objects import ProviderRefund
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.platform.runtime.failpoints import failpoint
from feira.services.market import Market
from feira.services.payments.payments import outside_key, require_same_gateway
from feira.services.payments.refunds import REFUNDS_SQL, load_refund
from feira.services.payments.rows import RefundRow

# A call that begins within the key's lifetime may reach the provider after it.
_LIFETIME_MARGIN: Final = timedelta(hours=1)


async def ask_provider(market: Market, refund_id: RefundId) -> ProviderRefund:
    """Ask for a refund, or find out that it was asked for before.

    Raises:
        Unavailable: not known yet, or refused for now; ask again.
        GatewayRefused: the provider will not.
    """
    refund = await _begin(market, refund_id)
    failpoint("payments.refund.before_call")
    try:
        answer = refund.found or await market.payments.refund(
            refund.row.intent_reference,
            amount_minor=refund.row.amount_minor,
            client_reference=str(refund_id),
            idempotency_key=outside_key("refund", refund_id, refund.row.attempt),
        )
    except Unavailable as unknown:
        if unknown.code == "payment.outcome_unknown":
            await _spend_key(market, refund.row)
        raise
    except GatewayRefused as refusal:
        if not refusal.try_later:
            raise
        await _spend_key(market, refund.row)
        raise Unavailable("refund.try_later", refusal.message, retry_after_s=60) from refusal
    failpoint("payments.refund.after_call")
    return answer


class _Begun:
    """A refund that may be asked for under its `row.attempt`, unless it was `found`."""

    __slots__ = ("found", "row")

    def __init__(self, row: RefundRow, found: ProviderRefund | None = None) -> None:
        self.row: Final = row
        self.found: Final = found


async def _begin(market: Market, refund_id: RefundId) -> _Begun:
    async with market.database.connection() as con:
        row = await load_refund(con, refund_id)
        now: datetime = await con.fetchval("SELECT now()")
    require_same_gateway(market, row.gateway)
    if row.asked_at is not None:
        found = await _find(market, row)
        if found is not None:
            return _Begun(row, found)
        if not row.is_key_spent and not _is_forgotten(market, row.asked_at, now):
            return _Begun(row)
    # Whoever else begins the same attempt this moment has the same key, and so the same refund.
    async with market.database.connection() as con:
        await con.execute(REFUNDS_SQL["begin_attempt"], refund_id, row.attempt, row.asked_at)
        return _Begun(await load_refund(con, refund_id))


async def _find(market: Market, row: RefundRow) -> ProviderRefund | None:
    if row.gateway_reference is not None:
        return await market.payments.fetch_refund(row.gateway_reference)
    listed = await market.payments.list_refunds(row.intent_reference)
    ours = [refund for refund in listed if refund.client_reference == str(row.id)]
    # One that was made and failed is what came of it; where a key was spent, there may be one that did not.
    return next((refund for refund in ours if refund.state != "failed"), ours[0] if ours else None)


def _is_forgotten(market: Market, asked_at: datetime, now: datetime) -> bool:
    lifetime = timedelta(seconds=market.payments.capabilities.key_lifetime_s)
    return now - asked_at > lifetime - min(_LIFETIME_MARGIN, lifetime / 2)


async def _spend_key(market: Market, row: RefundRow) -> None:
    async with market.database.connection() as con:
        await con.execute(REFUNDS_SQL["spend_key"], row.id, row.attempt)
