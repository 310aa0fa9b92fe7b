"""Lists of what happened: events, kept for thirty days, and movements of balances, kept for ever."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from feira.platform.gateways.payments.sandbox.books import found
from feira.platform.gateways.payments.sandbox.wire import (
    BalanceTransactionObject,
    Listing,
    WebhookEvent,
)

if TYPE_CHECKING:
    from feira.platform.gateways.payments.sandbox.books import Connection

EVENTS_KEPT_S: Final = 30 * 24 * 3600
PAGE_ROWS: Final = 100

_EVENTS: Final = """
    SELECT seq, body FROM sandbox.events
    WHERE seq > $1 AND created_at >= greatest($2, now() - make_interval(secs => $3::float8))
    ORDER BY seq LIMIT $4
"""
_MOVEMENTS: Final = """
    SELECT seq, id, account, type, amount_minor, fee_minor, currency, source, created_at
    FROM sandbox.balance_transactions WHERE account = $1 AND seq > $2 AND created_at >= $3 ORDER BY seq LIMIT $4
"""


async def list_events(con: Connection, since: datetime, after: int) -> Listing[WebhookEvent]:
    """Oldest first, of all accounts."""
    rows = await con.fetch(_EVENTS, after, since, float(EVENTS_KEPT_S), PAGE_ROWS)
    return Listing(
        data=[msgspec.json.decode(row["body"], type=WebhookEvent) for row in rows],
        next=str(rows[-1]["seq"]) if len(rows) == PAGE_ROWS else None,
    )


async def list_movements(
    con: Connection, account: str, since: datetime, after: int
) -> Listing[BalanceTransactionObject]:
    """Oldest first, of one balance."""
    rows = await con.fetch(_MOVEMENTS, account, after, since, PAGE_ROWS)
    return Listing(
        data=[found(row, BalanceTransactionObject) for row in rows],
        next=str(rows[-1]["seq"]) if len(rows) == PAGE_ROWS else None,
    )
