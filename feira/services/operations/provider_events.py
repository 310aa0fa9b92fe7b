"""Providers' events as operators see them: what came, how, what became of it, and looking again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import InvalidInput, NotFound, Rejected
from feira.platform.domain.ids import ProviderEventId
from feira.platform.domain.jobs import HandleWebhook
from feira.platform.domain.permissions import Principal, require
from feira.platform.gateways.payments.objects import SubjectKind
from feira.services.audit.recording import record
from feira.services.payments.webhooks import SQL, EventSource
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one

EventState = Literal["waiting", "handled", "ignored"]


class ProviderEventView(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it came. `ignored`: of a type that nobody here knows. `waiting`: its effect is not committed yet;
    `last_error` says why, where it was tried.
    """

    id: ProviderEventId
    provider: str
    account: str
    event_id: str
    type: str
    kind: SubjectKind | None
    subject: str
    source: EventSource
    state: EventState
    received_at: datetime
    handled_at: datetime | None
    last_error: str | None


class ProviderEventPage(msgspec.Struct, frozen=True, kw_only=True):
    """The latest first; `next_cursor` is null on the last page."""

    items: list[ProviderEventView]
    next_cursor: str | None


class ProviderEventFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before."""

    state: EventState | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Annotated[str, Meta(max_length=80)] | None = None


class _Replayed(msgspec.Struct, frozen=True, kw_only=True):
    provider: str
    account: str
    event_id: str
    kind: SubjectKind | None


async def list_provider_events(
    con: Connection, principal: Principal, wanted: ProviderEventFilter
) -> ProviderEventPage:
    """Return a page of events.

    Raises:
        NotAllowed: `auth.not_allowed`.
        InvalidInput: `provider_events.cursor`.
    """
    require("provider_events.read", principal)
    after_at, after_id = _parse_cursor(wanted.cursor)
    rows = await fetch_all(
        con,
        SQL["list_provider_events"],
        ProviderEventView,
        wanted.state,
        after_at,
        after_id,
        wanted.limit + 1,
    )
    page = rows[: wanted.limit]
    return ProviderEventPage(
        items=page,
        next_cursor=f"{page[-1].received_at.isoformat()}_{page[-1].id}"
        if len(rows) > len(page)
        else None,
    )


async def replay(tx: Tx, principal: Principal, event_id: ProviderEventId) -> ProviderEventView:
    """Have an event handled again: the provider is asked how its subject is now. Always harmless.

    Raises:
        NotAllowed: `auth.not_allowed`.
        NotFound: `webhook.not_found`.
        Rejected: `webhook.unknown_kind`: there is nothing to ask.
    """
    require("provider_events.replay", principal)
    event = await fetch_one(tx.con, SQL["reopen_provider_event"], _Replayed, event_id)
    if event is None:
        raise NotFound("webhook.not_found", "There is no such event.")
    if event.kind is None:
        raise Rejected(
            "webhook.unknown_kind",
            "Nobody knows what to do with news of this type; it is only kept.",
        )
    tx.enqueue(
        HandleWebhook(provider=event.provider, account=event.account, event_id=event.event_id)
    )
    await record(
        tx,
        principal,
        "provider_event.replay",
        "provider_event",
        event_id,
        after={"provider": event.provider, "event": event.event_id, "kind": event.kind},
    )
    shown = await fetch_one(tx.con, SQL["show_provider_event"], ProviderEventView, event_id)
    assert shown is not None, "it was just written"
    return shown


def _parse_cursor(cursor: str | None) -> tuple[datetime | None, UUID | None]:
    if cursor is None:
        return None, None
    at, _, event = cursor.partition("_")
    try:
        # In UTC, since an offset may carry a moment beyond the years that there are.
        return datetime.fromisoformat(at).astimezone(UTC), UUID(event)
    except (ValueError, OverflowError):
        raise InvalidInput(
            "provider_events.cursor",
            "Give the next_cursor of the page before, unchanged.",
            field="$.cursor",
        ) from None
