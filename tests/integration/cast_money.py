"""A payout and a chargeback of the cast's shop."""

from __future__ import annotations

from uuid import uuid4

from feira.platform.domain.ids import AdjustmentId, ShopId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.postings_shops import adjusted
from feira.platform.domain.shop_funds import ShopFunds
from feira.services.payments import ledger
from feira.services.payouts.making import Payer, pay_now
from feira.sql.database import Tx


async def money_ids(tx: Tx, owner: Principal, shop: ShopId, order: str) -> dict[str, str]:
    await ledger.post(
        tx,
        adjusted(
            adjustment_id=AdjustmentId(uuid4()),
            shop_id=shop,
            currency="EUR",
            amount_minor=1_000,
            funds=ShopFunds(stage="cleared"),
            reason="For the cast.",
        ),
    )
    (payout,) = await pay_now(
        tx, shop, payer=Payer(gateway="memory", steps={}), requested_by=owner.user_id, currency=None
    )
    # As far as doors go, a row is enough: the books know nothing of it.
    chargeback = await tx.con.fetchval(
        "WITH made AS ("
        " INSERT INTO chargebacks (payment_id, gateway, gateway_reference, amount_minor, currency,"
        " fee_minor, reason, evidence_due_at) SELECT p.id, 'memory', $2, 100, 'EUR', 0, 'fraudulent',"
        " now() + interval '7 days' FROM orders o JOIN payments p ON p.group_id = o.group_id"
        " WHERE o.id = $1::text::uuid RETURNING id"
        "), share AS ("
        " INSERT INTO chargeback_orders (chargeback_id, order_id, shop_id, amount_minor,"
        " commission_minor, subsidy_minor, excess_minor)"
        " SELECT id, $1::text::uuid, $3, 100, 10, 0, 0 FROM made"
        ") SELECT id FROM made",
        order,
        f"dp_{uuid4().hex}",
        shop,
    )
    return {"payout": str(payout), "chargeback": str(chargeback)}
