"""Shops: who is on their team, and their way to approval.

The order of a shop's life is decided in platform/domain/shops.py; here its row is locked, written, and the
change told on the shop's topic and its owner's inbox. Applications and profiles are in shop_profiles.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, assert_never

import msgspec

from feira.platform.domain.audit import Act
from feira.platform.domain.errors import Conflict, NotFound, Unavailable
from feira.platform.domain.ids import ShopId, UserId
from feira.platform.domain.permissions import Action, Principal, Role, require
from feira.platform.domain.shops import (
    AccountStatus,
    ShopCommand,
    ShopStatus,
    after_account,
    after_command,
    sells,
)
from feira.platform.domain.topics import OPS, inbox_topic, shop_topic
from feira.platform.domain.user_events import ShopVerified, shop_event
from feira.platform.gateways.payments.objects import Account
from feira.services.audit.recording import record
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_one, load_queries

SQL = load_queries("shops")

Decision = Literal["approve", "reject", "suspend", "reinstate"]
_ACTS: Final[dict[Decision, Act]] = {
    "approve": "shop.approve",
    "reject": "shop.reject",
    "suspend": "shop.suspend",
    "reinstate": "shop.reinstate",
}


class ShopRow(msgspec.Struct, frozen=True, kw_only=True):
    """A shop as the database holds it."""

    id: ShopId
    owner_id: UserId
    name: str
    slug: str
    description: str
    ship_within_days: int | None
    country: str
    currency: str
    status: ShopStatus
    status_reason: str
    provider_account: str | None
    provider_status: AccountStatus
    version: int
    created_at: datetime


async def load_shop(con: Connection, shop_id: ShopId) -> ShopRow:
    """One shop, whatever its status.

    Raises:
        NotFound: `shop.not_found`.
    """
    return found(await fetch_one(con, SQL["read_shop"], ShopRow, shop_id))


async def lock_shop(tx: Tx, shop_id: ShopId) -> ShopRow:
    """One shop, held until the commit.

    Raises:
        NotFound: `shop.not_found`.
    """
    return found(await fetch_one(tx.con, SQL["lock_shop"], ShopRow, shop_id))


async def shop_roles(con: Connection, shop_id: ShopId, principal: Principal) -> frozenset[Role]:
    """The caller's relation to a shop: `owner`, `staff`, or none; none too where there is no such shop."""
    if principal.api_key is not None and principal.api_key.shop != shop_id:
        return frozenset()
    role: Role | None = await con.fetchval(SQL["read_member_role"], shop_id, principal.user_id)
    return frozenset() if role is None else frozenset({role})


async def decide(
    tx: Tx, principal: Principal, shop_id: ShopId, decision: Decision, reason: str
) -> ShopRow:
    """Carry out an admin's decision.

    Raises:
        NotAllowed: `auth.not_allowed`.
        NotFound: `shop.not_found`.
        Conflict: `shop.wrong_status`.
    """
    require(_action(decision), principal)
    shop = await lock_shop(tx, shop_id)
    decided = await _command(tx, shop, decision, reason)
    await record(
        tx,
        principal,
        _ACTS[decision],
        "shop",
        shop_id,
        reason=reason,
        before={"status": shop.status},
        after={"status": decided.status},
    )
    return decided


async def record_account(tx: Tx, shop_id: ShopId, account: Account) -> None:
    """Remember the account that was opened for a shop, and what the provider says of it so far.

    Raises:
        NotFound: `shop.not_found`.
        Conflict: `shop.has_account`: another one.
    """
    shop = await lock_shop(tx, shop_id)
    if shop.provider_account not in {None, account.reference}:
        raise Conflict(
            "shop.has_account", f"This shop has the account {shop.provider_account} already."
        )
    await tx.con.execute(SQL["set_account"], shop_id, account.reference, account.status)
    # Turned down while the account was being opened: the account is known, the shop stays where it is.
    if shop.status == "applied":
        shop = await _command(tx, shop, "open_account", "")
    await _follow_account(tx, shop, account.status)


async def apply_account(tx: Tx, account: Account) -> None:
    """Follow the provider's view of a shop's account. Safe to repeat; what it says now is what counts.

    Raises:
        Unavailable: `shop.account_unknown`: the webhook overtook the commit that remembers the account, so
            try again.
    """
    shop = await fetch_one(tx.con, SQL["lock_shop_by_account"], ShopRow, account.reference)
    if shop is None:
        raise Unavailable(
            "shop.account_unknown", f"No shop has the account {account.reference} yet."
        )
    await tx.con.execute(SQL["set_account"], shop.id, account.reference, account.status)
    await _follow_account(tx, shop, account.status)


def found(shop: ShopRow | None) -> ShopRow:
    if shop is None:
        raise NotFound("shop.not_found", "There is no such shop.")
    return shop


def _action(decision: Decision) -> Action:
    match decision:
        case "approve" | "reject":
            return "shop.decide"
        case "suspend" | "reinstate":
            return "shop.suspend"
        case _:
            assert_never(decision)


async def _command(tx: Tx, shop: ShopRow, command: ShopCommand, reason: str) -> ShopRow:
    after = after_command(shop.status, shop.provider_status, command)
    return await _move(tx, shop, after, reason)


async def _follow_account(tx: Tx, shop: ShopRow, account: AccountStatus) -> None:
    after = after_account(shop.status, account)
    if after == shop.status:
        return
    reason = "The payment provider restricted the account." if after == "restricted" else ""
    await _move(tx, shop, after, reason)


async def _move(tx: Tx, shop: ShopRow, after: ShopStatus, reason: str) -> ShopRow:
    """Write a status change of a locked shop and tell everybody concerned."""
    await tx.con.execute(SQL["set_status"], shop.id, after, reason)
    event = shop_event(shop.id, before=shop.status, after=after, reason=reason)
    tx.emit(shop_topic(shop.id), event)
    tx.emit(inbox_topic(shop.owner_id), event)
    if isinstance(event, ShopVerified):
        # Admins are waited for.
        tx.emit(OPS, event)
    if sells(shop.status) != sells(after):
        await resync_listings(tx, shop.id)
    return await load_shop(tx.con, shop.id)


async def resync_listings(tx: Tx, shop_id: ShopId) -> None:
    """Have search look at the shop's products again, in this transaction."""
    # Products ask this module who is on a shop's team, so it cannot import them while it is being imported.
    from feira.services.products.listings import resync_shop

    await resync_shop(tx, shop_id)
