"""A payment meets its provider, which may turn it down for good: then nothing of its checkout stays behind."""

from __future__ import annotations

import structlog

from feira.platform.domain.errors import Rejected
from feira.platform.domain.ids import PaymentId
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.services.market import Market
from feira.services.payments import outcomes, payments
from feira.services.payments.payments import PaymentRow, PaymentView

log = structlog.get_logger(__name__)


async def ensure_intent(market: Market, payment_id: PaymentId) -> PaymentView:
    """Make sure that the provider knows the payment, and return it with its page. Safe to repeat and to race.

    Raises:
        NotFound: `payment.not_found`.
        Unavailable: the provider or the database is away; a job goes on trying.
        Rejected: `payment.refused`: the provider will not take it, whatever the buyer does. The orders are
            cancelled and their stock is free; `details` have the provider's reason. Repeats say the same.
    """
    payment = await introduce_or_close(market, payment_id)
    if payment.state == "canceled" and payment.decline_code.startswith("gateway."):
        raise Rejected(
            "payment.refused",
            "The payment provider does not take this payment, so nothing was ordered and nothing is held. Fill the"
            " cart again and try another currency or a smaller order; if that fails too, tell the market's support.",
            details={"group_id": payment.group_id, "reason": payment.decline_code},
        )
    return payment.view


async def introduce_or_close(market: Market, payment_id: PaymentId) -> PaymentRow:
    """Make the payment known to its provider, or cancel it and its orders where the provider refuses it."""
    try:
        return await payments.introduce(market, payment_id)
    except GatewayRefused as refused:
        code = refused.code
        log.warning(
            "payment_refused", payment=str(payment_id), code=code, said=refused.provider_code
        )
    await market.database.transact(lambda tx: outcomes.apply_refused_intent(tx, payment_id, code))
    async with market.database.connection() as con:
        return await payments.load_payment(con, payment_id)
