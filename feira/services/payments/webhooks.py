"""What providers tell us: kept once, answered fast, handled by a job that asks the provider how things are now.

News comes by webhook and, hourly, by a sweep of the provider's own list, so that a lost webhook is an hour late at
worst. Both end in the same row, unique by (provider, account, event id), and whoever writes it adds its job.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from feira.platform.domain.errors import NotFound
from feira.platform.domain.jobs import HandleWebhook
from feira.platform.gateways.payments.objects import ProviderEvent, SubjectKind
from feira.services.market import Market
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_one, load_queries

SQL = load_queries("provider_events")

EventSource = Literal["webhook", "sweep"]


class WebhookRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stored event; its `subject` is what to ask the provider about."""

    provider: str
    account: str
    event_id: str
    type: str
    kind: SubjectKind | None
    subject: str
    handled_at: datetime | None


async def receive(market: Market, provider: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Verify an event and keep it with its job; False when it was known already.

    Raises:
        NotFound: `webhook.unknown_provider`.
        NotAllowed: `webhook.bad_signature`, `webhook.stale`.
        InvalidInput: `webhook.malformed`: signed, but nothing we understand.
    """
    if provider != market.payments.name:
        raise NotFound("webhook.unknown_provider", "No such provider sends events here.")
    event = await market.payments.verify_webhook(headers, body)
    return await market.database.transact(
        lambda tx: keep(tx, event, source="webhook", body=msgspec.Raw(body))
    )


async def keep(
    tx: Tx, event: ProviderEvent, *, source: EventSource, body: msgspec.Raw | None = None
) -> bool:
    """Keep an event with its job; False when it was known already. News of no known kind has no job."""
    new = await tx.con.fetchval(
        SQL["insert_provider_event"],
        event.provider,
        event.account,
        event.event_id,
        event.type,
        event.kind,
        event.subject,
        body,
        source,
    )
    if not new:
        return False
    if event.kind is not None:
        tx.enqueue(
            HandleWebhook(provider=event.provider, account=event.account, event_id=event.event_id),
            dedup=f"webhook:{event.provider}:{event.account}:{event.event_id}",
        )
    return True


async def load_event(con: Connection, job: HandleWebhook) -> WebhookRow:
    """Read a stored event.

    Raises:
        NotFound: `webhook.not_found`.
    """
    event = await fetch_one(
        con, SQL["read_provider_event"], WebhookRow, job.provider, job.account, job.event_id
    )
    if event is None:
        raise NotFound("webhook.not_found", "There is no such event.")
    return event


async def mark_handled(tx: Tx, event: WebhookRow) -> None:
    """Say that the event's effect is in this transaction."""
    await tx.con.execute(
        SQL["mark_provider_event_handled"], event.provider, event.account, event.event_id
    )
