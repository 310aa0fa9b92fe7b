"""The sweep of a provider's list of events: whatever its webhooks did not bring is adopted.

A sweep begins an overlap before the last one ended, because events can appear in the list after younger ones.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from feira.platform.gateways.payments.objects import Page, ProviderEvent
from feira.services.market import Market
from feira.services.payments.webhooks import SQL, keep
from feira.sql.database import Tx
from feira.sql.loader import fetch_one

OVERLAP: Final = timedelta(hours=2)

log = structlog.get_logger(__name__)


class _Cursor(msgspec.Struct, frozen=True, kw_only=True):
    now: datetime
    swept_until: datetime | None


async def sweep_events(market: Market) -> int:
    """Adopt what is in the provider's list and not here; the number of events that were new.

    Dying on the way loses nothing: the cursor moves once everything before it is kept.

    Raises:
        Unavailable: the provider or the database is away; the next sweep begins where this one did.
    """
    gateway = market.payments
    if gateway.capabilities.events_kept_s == 0:
        return 0
    async with market.database.connection() as con:
        cursor = await fetch_one(con, SQL["read_sweep"], _Cursor, gateway.name)
    assert cursor is not None, "the clock has a row"
    kept_since = cursor.now - timedelta(seconds=gateway.capabilities.events_kept_s)
    # Before the first sweep nothing was expected of anybody.
    since = (cursor.swept_until or cursor.now) - OVERLAP
    if since < kept_since:
        log.error("provider_events_gap", provider=gateway.name, since=since, kept_since=kept_since)
        since = kept_since
    adopted = 0
    page: str | None = None
    while True:
        part = await gateway.list_events(since=since, page=page)
        adopted += await _adopt(market, part)
        page = part.next_page
        if page is None:
            break

    async def move(tx: Tx) -> None:
        await tx.con.execute(SQL["move_sweep"], gateway.name, cursor.now)

    await market.database.transact(move)
    if adopted:
        log.warning("provider_events_adopted", provider=gateway.name, events=adopted)
    return adopted


async def _adopt(market: Market, part: Page[ProviderEvent]) -> int:
    async def adopt(tx: Tx) -> int:
        return sum([await keep(tx, event, source="sweep") for event in part.items])

    return await market.database.transact(adopt)
