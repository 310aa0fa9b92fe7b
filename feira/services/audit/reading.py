"""Reading the audit log: all of it for admins, and everybody what concerns the safety of their own account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from feira.platform.domain.audit import Act, ObjectKind
from feira.platform.domain.ids import SessionId, UserId
from feira.platform.domain.permissions import Principal, require
from feira.services.audit.recording import SQL
from feira.services.documents.tables import write_csv
from feira.sql.loader import Connection, fetch_all

EXPORT_MAX: Final = 10_000
_EXPORTED: Final = (
    "id", "at", "actor_kind", "actor_id", "actor_name", "actor_roles", "act", "object_kind", "object_id", "account_id",
    "reason", "before", "after", "address", "user_agent", "request_id", "session_id", "api_key_id",
)  # fmt: skip

Cursor = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One act. `actor_name` is the user's name as it is now, or who worked on which machine; `actor_roles` as they were then."""

    id: int
    at: datetime
    actor_kind: Literal["user", "machine"]
    actor_id: UserId | None
    actor_name: str
    actor_roles: list[str]
    session_id: SessionId | None
    api_key_id: UUID | None
    act: str
    object_kind: str
    object_id: str
    account_id: UserId | None
    reason: str
    before: msgspec.Raw
    after: msgspec.Raw
    address: str | None
    user_agent: str
    request_id: str


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """The latest first; `next_cursor` is null on the last page."""

    items: list[AuditEntry]
    next_cursor: int | None


class AuditSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What fits all that is given. `since` counts, `until` does not any more."""

    actor: UserId | None = None
    act: Act | None = None
    object_kind: ObjectKind | None = None
    object: Annotated[str, Meta(max_length=100)] | None = None
    since: Annotated[datetime, Meta(tz=True)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None


class AuditFilter(AuditSearch, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` is the `next_cursor` of the page before."""

    cursor: Cursor | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class SecurityEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done to the safety of the own account. From where only where it was the user: `by_you`."""

    id: int
    at: datetime
    act: str
    object_kind: str
    object_id: str
    by_you: bool
    reason: str
    before: msgspec.Raw
    after: msgspec.Raw
    address: str | None
    user_agent: str


class SecurityEventPage(msgspec.Struct, frozen=True, kw_only=True):
    """The latest first; `next_cursor` is null on the last page."""

    items: list[SecurityEvent]
    next_cursor: int | None


class SecurityEventQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` is the `next_cursor` of the page before."""

    cursor: Cursor | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


async def list_entries(con: Connection, principal: Principal, wanted: AuditFilter) -> AuditPage:
    """Return a page of the audit log.

    Raises:
        NotAllowed: `auth.not_allowed`.
    """
    require("audit.read", principal)
    rows = await _find(con, wanted, cursor=wanted.cursor, limit=wanted.limit + 1)
    items = rows[: wanted.limit]
    return AuditPage(items=items, next_cursor=items[-1].id if len(rows) > len(items) else None)


async def export_entries(con: Connection, principal: Principal, wanted: AuditSearch) -> bytes:
    """Return the audit log as CSV, the latest first, up to `EXPORT_MAX`.

    Raises:
        NotAllowed: `auth.not_allowed`.
    """
    require("audit.read", principal)
    entries = await _find(con, wanted, cursor=None, limit=EXPORT_MAX)
    return write_csv(_EXPORTED, [_cells(entry) for entry in entries])


async def list_security_events(
    con: Connection, principal: Principal, wanted: SecurityEventQuery
) -> SecurityEventPage:
    """Return a page of what happened to the safety of the caller's account."""
    rows = await fetch_all(
        con,
        SQL["list_security_events"],
        SecurityEvent,
        principal.user_id,
        wanted.cursor,
        wanted.limit + 1,
    )
    items = rows[: wanted.limit]
    return SecurityEventPage(
        items=items, next_cursor=items[-1].id if len(rows) > len(items) else None
    )


async def _find(
    con: Connection, wanted: AuditSearch, *, cursor: int | None, limit: int
) -> list[AuditEntry]:
    return await fetch_all(
        con,
        SQL["list_entries"],
        AuditEntry,
        wanted.actor,
        wanted.act,
        wanted.object_kind,
        wanted.object,
        wanted.since,
        wanted.until,
        cursor,
        limit,
    )


def _cells(entry: AuditEntry) -> list[object]:
    cells = msgspec.structs.asdict(entry) | {
        "at": entry.at.isoformat(),
        "actor_roles": " ".join(entry.actor_roles),
        "before": _json(entry.before),
        "after": _json(entry.after),
    }
    return [cells[name] for name in _EXPORTED]


def _json(facts: msgspec.Raw) -> str:
    text = bytes(facts).decode()
    return "" if text == "null" else text
