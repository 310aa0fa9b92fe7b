"""How a shop is paid: the seller chooses when and from which amount on, operators how long money clears, and pause it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import InvalidInput, NotFound
from feira.platform.domain.ids import ShopId
from feira.platform.domain.money import AMOUNT_MINOR_MAX, require_currency
from feira.platform.domain.payout_events import PayoutSettingsChanged
from feira.platform.domain.payout_schedule import DEFAULT, PayoutSchedule, next_slot
from feira.platform.domain.permissions import Action, Principal, require
from feira.platform.domain.topics import shop_topic
from feira.services.audit.recording import record
from feira.services.payouts.rows import SQL, SettingsRow
from feira.services.users.shops import shop_roles
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one

Clearance = Annotated[int, Meta(ge=0, le=366 * 86_400)]
PauseReason = Annotated[str, Meta(max_length=300)]


class PayoutMinimum(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Less of this currency waits for a later slot."""

    currency: str
    minimum_minor: Annotated[int, Meta(ge=1, le=AMOUNT_MINOR_MAX)]


class PayoutSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`next_payout_at` is null where the shop asks itself. `paused_reason`: an operator's word, for this shop or all.

    `needs_bank_details`: a payout came back; saving the settings says that somebody looked.
    """

    shop: ShopId
    schedule: PayoutSchedule
    minimums: list[PayoutMinimum]
    next_payout_at: datetime | None
    clearance_s: int
    paused_reason: str
    needs_bank_details: bool


class ChangePayoutSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schedule: PayoutSchedule
    minimums: Annotated[list[PayoutMinimum], Meta(max_length=30)]


class PayoutTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What operators say of one shop. `clearance_s` null is the market's; an empty `paused_reason` pauses nothing."""

    clearance_s: Clearance | None
    paused_reason: PauseReason


class PayoutPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What operators say of all shops. Orders that are completed from now on clear for `clearance_s`."""

    clearance_s: Clearance
    paused_reason: PauseReason


async def require_of_shop(
    con: Connection, principal: Principal, shop_id: ShopId, action: Action
) -> None:
    """Pass if the caller may do this with a shop's money.

    Raises:
        NotFound: `shop.not_found`, also for whoever may not even look.
        NotAllowed: `auth.not_allowed`.
    """
    relations = await shop_roles(con, shop_id, principal)
    exists = await con.fetchval(SQL["shop_exists"], shop_id)
    stranger = not relations and principal.roles.isdisjoint({"support", "finance", "admin"})
    if stranger or not exists:
        raise NotFound("shop.not_found", "There is no such shop.")
    require(action, principal, relations)


async def change_settings(
    tx: Tx, principal: Principal, shop_id: ShopId, change: ChangePayoutSettings
) -> PayoutSettings:
    """Choose when the shop is paid, and from which amounts on.

    Raises:
        InvalidInput: `money.unknown_currency`, `payout.minimum_twice`.
    """
    await require_of_shop(tx.con, principal, shop_id, "payout.write")
    currencies = [
        require_currency(minimum.currency, field=f"$.minimums[{index}].currency")
        for index, minimum in enumerate(change.minimums)
    ]
    if len(set(currencies)) < len(currencies):
        raise InvalidInput(
            "payout.minimum_twice", "Give one minimum for each currency.", field="$.minimums"
        )
    await _lock(tx, shop_id)
    before = await settings_view(tx.con, shop_id)
    schedule = change.schedule
    await tx.con.execute(
        SQL["store_schedule"],
        shop_id,
        schedule.frequency,
        schedule.weekday,
        schedule.month_day,
        schedule.zone,
        next_slot(schedule, tx.now),
    )
    await tx.con.execute(SQL["clear_minimums"], shop_id)
    await tx.con.execute(
        SQL["insert_minimums"],
        shop_id,
        currencies,
        [minimum.minimum_minor for minimum in change.minimums],
    )
    after = await _tell(tx, shop_id)
    await record(
        tx,
        principal,
        "payout.change_settings",
        "shop",
        shop_id,
        account=principal.user_id,
        before=before,
        after=after,
    )
    return after


async def change_terms(
    tx: Tx, principal: Principal, shop_id: ShopId, terms: PayoutTerms
) -> PayoutSettings:
    """Say how long a shop's money clears, and whether it is paid at all."""
    await require_of_shop(tx.con, principal, shop_id, "payout.operate")
    await _lock(tx, shop_id)
    before = await fetch_one(tx.con, SQL["read_settings"], SettingsRow, shop_id)
    assert before is not None, "it is locked"
    await tx.con.execute(SQL["store_terms"], shop_id, terms.clearance_s, terms.paused_reason)
    await record(
        tx,
        principal,
        "payout.change_terms",
        "shop",
        shop_id,
        reason=terms.paused_reason,
        before=PayoutTerms(clearance_s=before.clearance_s, paused_reason=before.paused_reason),
        after=terms,
    )
    return await _tell(tx, shop_id)


async def read_policy(con: Connection, principal: Principal) -> PayoutPolicy:
    require("payout.read_all", principal)
    policy = await fetch_one(con, SQL["read_policy"], PayoutPolicy)
    assert policy is not None, "the migration brings it"
    return policy


async def change_policy(tx: Tx, principal: Principal, policy: PayoutPolicy) -> PayoutPolicy:
    """Say what holds for all shops. While payouts are paused none is made, and none that was made leaves."""
    require("payout.operate", principal)
    before = await fetch_one(tx.con, SQL["lock_policy"], PayoutPolicy)
    await tx.con.execute(SQL["store_policy"], policy.clearance_s, policy.paused_reason)
    await record(
        tx,
        principal,
        "payout.change_policy",
        "payout_policy",
        "market",
        reason=policy.paused_reason,
        before=before,
        after=policy,
    )
    return policy


async def settings_view(con: Connection, shop_id: ShopId) -> PayoutSettings:
    """A shop's settings; those of a shop that chose none are the default."""
    row = await fetch_one(con, SQL["read_settings"], SettingsRow, shop_id)
    policy = await fetch_one(con, SQL["read_policy"], PayoutPolicy)
    assert policy is not None, "the migration brings it"
    minimums = await fetch_all(con, SQL["read_minimums"], PayoutMinimum, shop_id)
    own_clearance = None if row is None else row.clearance_s
    return PayoutSettings(
        shop=shop_id,
        schedule=DEFAULT if row is None else row.schedule,
        minimums=minimums,
        next_payout_at=None if row is None else row.next_slot_at,
        clearance_s=policy.clearance_s if own_clearance is None else own_clearance,
        paused_reason=policy.paused_reason or ("" if row is None else row.paused_reason),
        needs_bank_details=row is not None and row.needs_bank_details,
    )


async def _lock(tx: Tx, shop_id: ShopId) -> None:
    await tx.con.execute(SQL["ensure_settings"], shop_id, next_slot(DEFAULT, tx.now))
    await tx.con.execute(SQL["lock_settings"], shop_id)


async def _tell(tx: Tx, shop_id: ShopId) -> PayoutSettings:
    view = await settings_view(tx.con, shop_id)
    tx.emit(
        shop_topic(shop_id),
        PayoutSettingsChanged(
            shop=shop_id,
            schedule=view.schedule,
            next_slot_at=view.next_payout_at,
            paused_reason=view.paused_reason,
            needs_bank_details=view.needs_bank_details,
        ),
    )
    return view
