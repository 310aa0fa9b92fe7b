"""Whom to tell of a payout that failed, and what."""

from __future__ import annotations

from feira.platform.domain.ids import PayoutId, UserId
from feira.platform.domain.notices import Notice
from feira.platform.domain.payout_notices import PayoutFailedNotice
from feira.services.notifications.readers import list_team
from feira.services.payouts.rows import load_payout
from feira.sql.loader import Connection


async def failure_notices(con: Connection, payout_id: PayoutId) -> dict[UserId, Notice]:
    """To each of the shop's team."""
    row = await load_payout(con, payout_id)
    notice = PayoutFailedNotice(
        payout=row.id,
        shop=row.shop_id,
        amount_minor=row.amount_minor,
        currency=row.currency,
        failure_code=row.failure_code,
    )
    return dict.fromkeys(await list_team(con, row.shop_id), notice)
