"""Whom to tell of a chargeback, and what."""

from __future__ import annotations

from feira.platform.domain.chargebacks import ChargebackState
from feira.platform.domain.ids import ChargebackId, UserId
from feira.platform.domain.notices import Notice
from feira.platform.domain.payout_notices import ChargebackNotice
from feira.services.chargebacks.rows import load_chargeback, read_shares
from feira.services.notifications.readers import list_team
from feira.sql.loader import Connection


async def chargeback_notices(
    con: Connection, chargeback_id: ChargebackId, state: ChargebackState
) -> dict[UserId, Notice]:
    """To each of the teams of its shops, of their shop's part. `state` is what it is told for, whatever came since."""
    row = await load_chargeback(con, chargeback_id)
    shares = await read_shares(con, chargeback_id)
    notices: dict[UserId, Notice] = {}
    for shop_id in sorted({share.shop_id for share in shares}):
        notice = ChargebackNotice(
            chargeback=chargeback_id,
            shop=shop_id,
            state=state,
            amount_minor=sum(share.taken_minor for share in shares if share.shop_id == shop_id),
            currency=row.currency,
            evidence_due_at=row.evidence_due_at if state == "needs_response" else None,
        )
        notices |= dict.fromkeys(await list_team(con, shop_id), notice)
    return notices
