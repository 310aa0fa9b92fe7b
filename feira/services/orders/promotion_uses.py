"""Counting how often promotions are used, under lock, and giving back what no order uses any more.

Lock order: after orders and payment, before stock; promotions in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Sequence

from feira.platform.domain.checkout import OrderPrice
from feira.platform.domain.errors import Conflict
from feira.platform.domain.ids import OrderGroupId, OrderId, PromotionId, UserId
from feira.services.orders.pricing import SQL
from feira.sql.database import Tx


async def use_promotions(
    tx: Tx,
    group_id: OrderGroupId,
    buyer_id: UserId,
    orders: Sequence[tuple[OrderId, OrderPrice]],
) -> None:
    """Count one use of each promotion for a checkout, and freeze what each took off each order.

    Raises:
        Conflict: `checkout.promotion_used_up`: somebody else had the last use; nothing was changed.
    """
    discounts = [(order_id, discount) for order_id, order in orders for discount in order.discounts]
    if not discounts:
        return
    promotions = {discount.promotion.id: discount.promotion for _, discount in discounts}
    limited = [p.id for p in promotions.values() if p.uses_left is not None]
    by_buyer = [p.id for p in promotions.values() if p.uses_left_for_you is not None]
    counted: set[PromotionId] = set()
    if limited:
        counted |= {row["id"] for row in await tx.con.fetch(SQL["take_uses"], limited)}
    lost = set(limited) - counted
    if by_buyer:
        rows = await tx.con.fetch(SQL["take_buyer_uses"], by_buyer, buyer_id)
        lost |= set(by_buyer) - {row["promotion_id"] for row in rows}
    if lost:
        raise Conflict(
            "checkout.promotion_used_up",
            "A discount of this basket has just been used up; look at the total again.",
            details={
                "promotions": [
                    {"promotion_id": p.id, "name": p.name, "code": p.code}
                    for p in promotions.values()
                    if p.id in lost
                ]
            },
        )
    await tx.con.execute(
        SQL["insert_uses"],
        group_id,
        buyer_id,
        [order_id for order_id, _ in discounts],
        [discount.promotion.id for _, discount in discounts],
        [discount.promotion.name for _, discount in discounts],
        [discount.promotion.code for _, discount in discounts],
        [discount.promotion.funded_by for _, discount in discounts],
        [discount.amount_minor for _, discount in discounts],
        [discount.shipping_minor for _, discount in discounts],
    )


async def release_promotions(tx: Tx, group_ids: Sequence[OrderGroupId]) -> None:
    """Give back the uses of checkouts whose orders with the promotion are all cancelled or expired.

    The orders are stored as closed already. Two closers of one checkout take turns here, and the later one sees both.
    """
    if not await tx.con.fetch(SQL["lock_uses"], group_ids):
        return
    freed = await tx.con.fetch(SQL["release_uses"], group_ids)
    if not freed:
        return
    promotions = [row["promotion_id"] for row in freed]
    await tx.con.execute(SQL["give_uses_back"], promotions)
    await tx.con.execute(
        SQL["give_buyer_uses_back"], promotions, [row["buyer_id"] for row in freed]
    )
