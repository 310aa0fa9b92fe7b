"""Promotions of shops and of the market: made, changed, archived. Orders keep what they had of one.

A shop's team keeps its own. The market's are its admins', and may reach every shop's goods, since the market pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import asyncpg
import msgspec
from msgspec import UNSET, Meta, UnsetType

from feira.platform.domain.errors import Conflict, InvalidInput, NotFound
from feira.platform.domain.ids import ProductId, PromotionId, ShopId
from feira.platform.domain.money import AMOUNT_MINOR_MAX, require_currency
from feira.platform.domain.permissions import Principal, Role, is_allowed, require
from feira.platform.domain.promotions import PromotionCode, PromotionKind
from feira.services.audit.recording import record
from feira.services.users import fields
from feira.services.users.shops import shop_roles
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL: Final = load_queries("promotions")
_SCOPE_MAX: Final = 500

Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MINOR_MAX)]
Limit = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Name = Annotated[
    str, Meta(min_length=1, max_length=80, pattern=r"^(?![\s\S]*[\x00-\x1f\x7f])\S[\s\S]*")
]


class NewPromotion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`percent` has `basis_points` (1,000 are 10 %), `fixed` an `amount_minor`, `free_shipping` neither.

    Amounts are of `currency`; a shop's is the shop's. Without a `code` it applies by itself. `products`, `categories`
    (with all below them) and, for the market's, `shops` narrow what it counts.
    """

    name: Name
    kind: PromotionKind
    code: PromotionCode | None = None
    basis_points: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    amount_minor: Amount | None = None
    cap_minor: Amount | None = None
    minimum_minor: Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)] = 0
    currency: fields.Currency | None = None
    products: Annotated[list[ProductId], Meta(max_length=_SCOPE_MAX)] = []
    categories: Annotated[list[fields.Slug], Meta(max_length=_SCOPE_MAX)] = []
    shops: Annotated[list[ShopId], Meta(max_length=_SCOPE_MAX)] = []
    stackable: bool = True
    starts_at: Annotated[datetime, Meta(tz=True)] | None = None
    ends_at: Annotated[datetime, Meta(tz=True)] | None = None
    uses_max: Limit | None = None
    per_buyer_max: Limit | None = None


class ChangePromotion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is. What it takes off stays for good: make another one for that."""

    version: fields.Version
    name: Name | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    ends_at: Annotated[datetime, Meta(tz=True)] | UnsetType | None = UNSET
    uses_max: Limit | UnsetType | None = UNSET
    per_buyer_max: Limit | UnsetType | None = UNSET


class PromotionView(msgspec.Struct, frozen=True, kw_only=True):
    """`used` counts the checkouts that use it now or bought with it; `saved_minor` what it took off paid orders."""

    id: PromotionId
    shop_id: ShopId | None
    code: str | None
    name: str
    kind: PromotionKind
    basis_points: int
    amount_minor: int
    cap_minor: int | None
    minimum_minor: int
    currency: str | None
    products: list[ProductId]
    categories: list[str]
    shops: list[ShopId]
    stackable: bool
    active: bool
    starts_at: datetime | None
    ends_at: datetime | None
    uses_max: int | None
    per_buyer_max: int | None
    used: int
    saved_minor: int
    version: int
    created_at: datetime


class PromotionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `next_cursor` is null on the last page."""

    items: list[PromotionView]
    next_cursor: str | None


class PromotionsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before."""

    limit: fields.PageLimit = 20
    cursor: PromotionId | None = None


class _Locked(msgspec.Struct, frozen=True, kw_only=True):
    shop_id: ShopId | None
    name: str
    active: bool
    starts_at: datetime | None
    ends_at: datetime | None
    uses: int
    uses_max: int | None
    per_buyer_max: int | None
    version: int


async def create_shop_promotion(
    tx: Tx, principal: Principal, shop_id: ShopId, wanted: NewPromotion
) -> PromotionView:
    """Add a promotion that the shop pays for.

    Raises:
        NotFound: `shop.not_found`, for strangers to it.
        NotAllowed: `auth.not_allowed`.
        InvalidInput: `promotion.kind_incomplete`, `promotion.shops_not_yours`, `promotion.other_currency`,
            `promotion.unknown_product`, `promotion.unknown_category`, `promotion.ends_before_it_starts`.
        Conflict: `promotion.code_taken`.
    """
    await _require_team(tx.con, principal, shop_id)
    require("promotion.write", principal, await shop_roles(tx.con, shop_id, principal))
    currency: str = await tx.con.fetchval(SQL["read_shop_currency"], shop_id)
    if wanted.currency not in {None, currency}:
        raise InvalidInput(
            "promotion.other_currency", f"The shop trades in {currency}.", field="$.currency"
        )
    if wanted.shops:
        raise InvalidInput(
            "promotion.shops_not_yours",
            "A shop's promotion is for the shop alone.",
            field="$.shops",
        )
    return await _create(tx, shop_id, msgspec.structs.replace(wanted, currency=currency))


async def create_market_promotion(
    tx: Tx, principal: Principal, wanted: NewPromotion
) -> PromotionView:
    """Add a promotion that the market pays for.

    Raises:
        NotAllowed: `auth.not_allowed`.
        InvalidInput: `promotion.needs_currency`, `promotion.unknown_shop`, and as for shops.
        Conflict: `promotion.code_taken`.
    """
    require("promotion.write_market", principal)
    if wanted.currency is not None:
        require_currency(wanted.currency)
    elif wanted.amount_minor or wanted.cap_minor or wanted.minimum_minor:
        raise InvalidInput(
            "promotion.needs_currency", "Say in which currency the amounts are.", field="$.currency"
        )
    made = await _create(tx, None, wanted)
    await record(tx, principal, "promotion.create", "promotion", made.id, after=made)
    return made


async def change_promotion(
    tx: Tx, principal: Principal, promotion_id: PromotionId, change: ChangePromotion
) -> PromotionView:
    """Rename, switch or limit a promotion, for later checkouts.

    Raises:
        NotFound: `promotion.not_found`, for strangers to its shop too.
        NotAllowed: `auth.not_allowed`.
        InvalidInput: `promotion.ends_before_it_starts`.
        Conflict: `promotion.stale_version`.
    """
    row = await _lock(tx, principal, promotion_id)
    if row.version != change.version:
        raise Conflict(
            "promotion.stale_version",
            "The promotion was changed elsewhere since; load it again and repeat the change.",
            details={"version": row.version},
        )
    ends_at = row.ends_at if change.ends_at is UNSET else change.ends_at
    uses_max = row.uses_max if change.uses_max is UNSET else change.uses_max
    _check_period(row.starts_at, ends_at)
    if row.uses_max is None and uses_max is not None:
        # Uses were not counted so far: what was used until now counts too.
        await tx.con.execute(SQL["count_uses"], promotion_id)
    await tx.con.execute(
        SQL["update_promotion"],
        promotion_id,
        row.name if change.name is UNSET else change.name,
        row.active if change.active is UNSET else change.active,
        ends_at,
        uses_max,
        row.per_buyer_max if change.per_buyer_max is UNSET else change.per_buyer_max,
    )
    if row.shop_id is None:
        await record(
            tx,
            principal,
            "promotion.change",
            "promotion",
            promotion_id,
            before=row,
            after=change,
        )
    return await _read(tx.con, promotion_id)


async def archive_promotion(tx: Tx, principal: Principal, promotion_id: PromotionId) -> None:
    """End a promotion for good and free its code. Orders that had it keep it.

    Raises:
        NotFound: `promotion.not_found`.
        NotAllowed: `auth.not_allowed`.
    """
    row = await _lock(tx, principal, promotion_id)
    await tx.con.execute(SQL["archive_promotion"], promotion_id)
    if row.shop_id is None:
        await record(tx, principal, "promotion.archive", "promotion", promotion_id, before=row)


async def read_promotion(
    con: Connection, principal: Principal, promotion_id: PromotionId
) -> PromotionView:
    """Return a promotion to the shop's team or the market's people.

    Raises:
        NotFound: `promotion.not_found`.
    """
    view = await _read(con, promotion_id)
    if not is_allowed("promotion.read", principal, await _relations(con, principal, view.shop_id)):
        raise _not_found()
    return view


async def list_promotions(
    con: Connection, principal: Principal, shop_id: ShopId | None, wanted: PromotionsQuery
) -> PromotionPage:
    """Return a page of a shop's promotions, or (None) of the market's.

    Raises:
        NotFound: `shop.not_found`, for strangers to it.
        NotAllowed: `auth.not_allowed`, for the market's.
    """
    if shop_id is None:
        require("promotion.read", principal)
    else:
        await _require_team(con, principal, shop_id)
    rows = await fetch_all(
        con, SQL["list_promotions"], PromotionView, shop_id, wanted.cursor, wanted.limit + 1
    )
    items = rows[: wanted.limit]
    return PromotionPage(
        items=items, next_cursor=str(items[-1].id) if len(rows) > wanted.limit else None
    )


async def _create(tx: Tx, shop_id: ShopId | None, wanted: NewPromotion) -> PromotionView:
    _check_kind(wanted)
    _check_period(wanted.starts_at, wanted.ends_at)
    await _check_scope(tx.con, shop_id, wanted)
    try:
        promotion_id = PromotionId(
            await tx.con.fetchval(
                SQL["insert_promotion"],
                shop_id,
                wanted.code,
                wanted.name,
                wanted.kind,
                wanted.basis_points or 0,
                wanted.amount_minor or 0,
                wanted.cap_minor,
                wanted.currency,
                wanted.minimum_minor,
                wanted.products,
                wanted.categories,
                wanted.shops,
                wanted.stackable,
                wanted.starts_at,
                wanted.ends_at,
                wanted.uses_max,
                wanted.per_buyer_max,
            )
        )
    except asyncpg.UniqueViolationError as error:
        raise Conflict(
            "promotion.code_taken",
            f"There is a promotion with the code {wanted.code} already; choose another.",
            field="$.code",
        ) from error
    return await _read(tx.con, promotion_id)


def _check_kind(wanted: NewPromotion) -> None:
    needs = {"percent": (True, False), "fixed": (False, True), "free_shipping": (False, False)}
    has = (wanted.basis_points is not None, wanted.amount_minor is not None)
    if has != needs[wanted.kind]:
        raise InvalidInput(
            "promotion.kind_incomplete",
            "percent takes basis_points, fixed takes amount_minor, free_shipping takes neither.",
            field="$.kind",
        )


def _check_period(starts_at: datetime | None, ends_at: datetime | None) -> None:
    if starts_at is not None and ends_at is not None and starts_at >= ends_at:
        raise InvalidInput(
            "promotion.ends_before_it_starts", "It has to end after it starts.", field="$.ends_at"
        )


async def _check_scope(con: Connection, shop_id: ShopId | None, wanted: NewPromotion) -> None:
    checks: tuple[tuple[str, str, Sequence[object], tuple[object, ...]], ...] = (
        ("product", "count_products", wanted.products, (shop_id,)),
        ("category", "count_categories", wanted.categories, ()),
        ("shop", "count_shops", wanted.shops, ()),
    )
    for what, query, given, rest in checks:
        distinct = list(dict.fromkeys(given))
        if distinct and await con.fetchval(SQL[query], distinct, *rest) != len(distinct):
            plural = {"product": "products", "category": "categories", "shop": "shops"}[what]
            raise InvalidInput(
                f"promotion.unknown_{what}",
                f"Not all of these {plural} are there for this promotion.",
                field=f"$.{plural}",
            )


async def _lock(tx: Tx, principal: Principal, promotion_id: PromotionId) -> _Locked:
    row = await fetch_one(tx.con, SQL["lock_promotion"], _Locked, promotion_id)
    if row is None:
        raise _not_found()
    relations = await _relations(tx.con, principal, row.shop_id)
    if not is_allowed("promotion.read", principal, relations):
        raise _not_found()
    require(
        "promotion.write_market" if row.shop_id is None else "promotion.write", principal, relations
    )
    return row


async def _read(con: Connection, promotion_id: PromotionId) -> PromotionView:
    view = await fetch_one(con, SQL["read_promotion"], PromotionView, promotion_id)
    if view is None:
        raise _not_found()
    return view


async def _relations(
    con: Connection, principal: Principal, shop_id: ShopId | None
) -> frozenset[Role]:
    return frozenset() if shop_id is None else await shop_roles(con, shop_id, principal)


async def _require_team(con: Connection, principal: Principal, shop_id: ShopId) -> None:
    if not is_allowed("promotion.read", principal, await shop_roles(con, shop_id, principal)):
        raise NotFound("shop.not_found", "There is no such shop among those you work for.")


def _not_found() -> NotFound:
    return NotFound("promotion.not_found", "There is no such promotion among those you may see.")
