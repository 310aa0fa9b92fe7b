"""The ledger against the provider's own list of movements, both ways.

    import: pages of the provider's list, each kept once
    compare: for every cause (a payment, refund, transfer, dispute ...), what each side says it moved in all
    difference: open --acknowledge--> acknowledged; --they agree--> settled; --another amount--> open

A failed refund moves money twice at the provider and not at all in the ledger: that agrees. Only the market's own
balance is compared; what happens in a shop's account there is the shop's and the provider's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import Conflict, NotFound
from feira.platform.domain.ids import UserId
from feira.platform.domain.jobs import MatchProviderMovements
from feira.platform.domain.ledger_events import LedgerDifferencesFound
from feira.platform.domain.permissions import Principal, require
from feira.platform.domain.topics import OPS
from feira.platform.gateways.payments.objects import BalanceTransaction
from feira.services.audit.recording import record
from feira.services.market import Market
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL: Final = load_queries("reconciliation")

# Lists promise no order: what was made a while ago is looked at again.
_OVERLAP: Final = timedelta(days=2)
_BEGINNING: Final = datetime(2020, 1, 1, tzinfo=UTC)
# Causes that moved nothing for longer were compared often enough; open differences always are.
_COMPARED_FOR: Final = timedelta(days=40)
# Either side may be told of it a little later than the other.
SETTLES_WITHIN: Final = timedelta(hours=1)

DifferenceState = Literal["open", "acknowledged", "settled"]


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison. `open_count`: differences that nobody knows the cause of, after it."""

    id: UUID
    provider: str
    at: datetime
    imported_count: int
    new_count: int
    settled_count: int
    open_count: int


class ReconciliationPage(msgspec.Struct, frozen=True, kw_only=True):
    """The latest first; `next_cursor` is null on the last page."""

    items: list[Reconciliation]
    next_cursor: UUID | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What the two say that one cause moved. `source` is the provider's name of it, or "ledger:{key}".

    `age_s` counts from when it was found until it was settled, or until now.
    """

    id: UUID
    provider: str
    currency: str
    source: str
    provider_minor: int
    ledger_minor: int
    found_at: datetime
    changed_at: datetime
    acknowledged_by: UserId | None
    acknowledged_at: datetime | None
    reason: str
    settled_at: datetime | None
    age_s: float


class DifferencePage(msgspec.Struct, frozen=True, kw_only=True):
    """The latest first; `next_cursor` is null on the last page."""

    items: list[Difference]
    next_cursor: UUID | None


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: UUID | None = None


class DifferenceQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: DifferenceState = "open"


class Acknowledge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the two differ, and what was done about it."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


class _Counts(msgspec.Struct, frozen=True, kw_only=True):
    new_count: int
    settled_count: int


async def import_movements(market: Market) -> int:
    """Keep what the provider lists since a while before the latest that we know; how many were new.

    Raises:
        Unavailable: what came before stays; the next time goes on from there.
    """
    gateway = market.payments
    async with market.database.connection() as con:
        latest: datetime | None = await con.fetchval(SQL["read_imported_until"], gateway.name, "")
    since = _BEGINNING if latest is None else latest - _OVERLAP
    imported = 0
    token: str | None = None
    while True:
        page = await gateway.list_balance_transactions(since=since, page=token)
        imported += await _keep(market, page.items)
        token = page.next_page
        if token is None:
            return imported


async def compare(
    tx: Tx, provider: str, *, imported_count: int, settles_within: timedelta = SETTLES_WITHIN
) -> Reconciliation:
    """Compare what moved lately and what differed before; tell operators of what is new."""
    await tx.con.execute(SQL["lock_reconciliation"], provider)
    counts = await fetch_one(
        tx.con,
        SQL["compare"],
        _Counts,
        provider,
        tx.now - _COMPARED_FOR,
        tx.now - settles_within,
    )
    assert counts is not None, "an aggregate gives one row"
    open_count: int = await tx.con.fetchval(SQL["count_open"], provider)
    made = await fetch_one(
        tx.con,
        SQL["insert_reconciliation"],
        Reconciliation,
        provider,
        imported_count,
        counts.new_count,
        counts.settled_count,
        open_count,
    )
    assert made is not None, "an insert gives its row"
    if counts.new_count:
        tx.emit(
            OPS,
            LedgerDifferencesFound(
                provider=provider, new_count=counts.new_count, open_count=open_count
            ),
        )
    return made


async def request_reconciliation(tx: Tx, principal: Principal) -> None:
    """Have a worker import and compare now."""
    require("ledger.read", principal)
    tx.enqueue(MatchProviderMovements())
    await record(tx, principal, "ledger.reconcile", "ledger", "market")


async def list_reconciliations(
    con: Connection, principal: Principal, wanted: PageQuery
) -> ReconciliationPage:
    require("ledger.read", principal)
    rows = await fetch_all(
        con, SQL["list_reconciliations"], Reconciliation, wanted.cursor, wanted.limit + 1
    )
    page = rows[: wanted.limit]
    return ReconciliationPage(
        items=page, next_cursor=page[-1].id if len(rows) > len(page) else None
    )


async def list_differences(
    con: Connection, principal: Principal, wanted: DifferenceQuery
) -> DifferencePage:
    require("ledger.read", principal)
    rows = await fetch_all(
        con, SQL["list_differences"], Difference, wanted.cursor, wanted.state, wanted.limit + 1
    )
    page = rows[: wanted.limit]
    return DifferencePage(items=page, next_cursor=page[-1].id if len(rows) > len(page) else None)


async def acknowledge(
    tx: Tx, principal: Principal, difference_id: UUID, wanted: Acknowledge
) -> Difference:
    """Say why a difference is as it is. It opens again when its amounts change.

    Raises:
        NotFound: `ledger.difference_not_found`.
        Conflict: `ledger.difference_settled`: the two agree by now.
    """
    require("ledger.write", principal)
    difference = await _lock(tx, difference_id)
    if difference.settled_at is not None:
        raise Conflict("ledger.difference_settled", "The ledger and the provider agree by now.")
    await tx.con.execute(SQL["acknowledge"], difference_id, principal.user_id, wanted.reason)
    await record(
        tx,
        principal,
        "ledger.acknowledge",
        "ledger_difference",
        difference_id,
        reason=wanted.reason,
        before={"acknowledged_by": difference.acknowledged_by, "reason": difference.reason},
        after={
            "provider_minor": difference.provider_minor,
            "ledger_minor": difference.ledger_minor,
            "currency": difference.currency,
            "source": difference.source,
        },
    )
    return await _lock(tx, difference_id)


async def _keep(market: Market, items: Sequence[BalanceTransaction]) -> int:
    async def keep(tx: Tx) -> int:
        return await tx.con.fetchval(
            SQL["insert_movements"],
            market.payments.name,
            [item.account for item in items],
            [item.reference for item in items],
            [item.kind for item in items],
            [item.provider_kind for item in items],
            [item.amount_minor for item in items],
            [item.fee_minor for item in items],
            [item.net_minor for item in items],
            [item.currency for item in items],
            [item.source for item in items],
            [item.created_at for item in items],
        )

    return await market.database.transact(keep)


async def _lock(tx: Tx, difference_id: UUID) -> Difference:
    difference = await fetch_one(tx.con, SQL["lock_difference"], Difference, difference_id)
    if difference is None:
        raise NotFound("ledger.difference_not_found", "There is no such difference.")
    return difference
