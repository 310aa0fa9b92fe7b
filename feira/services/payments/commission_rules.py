"""Commission rules as finance edits them: added, ended and never changed; with warnings, and a preview."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from feira.platform.domain.commission import CommissionRule
from feira.platform.domain.commission_shadows import Goods, ShadowWarning, warn_of
from feira.platform.domain.errors import Conflict, InvalidInput, NotFound, Rejected
from feira.platform.domain.ids import CategoryId, CommissionRuleId, ProductId, ShopId
from feira.platform.domain.money import AMOUNT_MINOR_MAX, require_currency
from feira.platform.domain.payments_events import CommissionChanged
from feira.platform.domain.permissions import Principal, require
from feira.platform.domain.topics import OPS
from feira.services.audit.recording import record
from feira.services.payments.commission import SQL, Sold, open_book
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one

# Warnings weigh every rule against every other; beyond this many they are left out.
WEIGHED_MAX: Final = 1_000

Amount = Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)]


class AddCommissionRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Conditions that are left out fit everything; amounts and price bands need a currency.

    `valid_from` left out means now. A band is of one unit's price: `price_from_minor <= price < price_below_minor`.
    """

    label: Annotated[str, Meta(max_length=120)] = ""
    product_id: ProductId | None = None
    shop_id: ShopId | None = None
    category_id: CategoryId | None = None
    currency: Annotated[str, Meta(max_length=3)] | None = None
    price_from_minor: Amount | None = None
    price_below_minor: Annotated[int, Meta(ge=1, le=AMOUNT_MINOR_MAX)] | None = None
    basis_points: Annotated[int, Meta(ge=0, le=10_000)]
    fixed_minor: Amount = 0
    min_minor: Amount | None = None
    max_minor: Amount | None = None
    valid_from: Annotated[datetime, Meta(tz=True)] | None = None
    valid_until: Annotated[datetime, Meta(tz=True)] | None = None


class EndCommissionRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`at` left out means now."""

    at: Annotated[datetime, Meta(tz=True)] | None = None


class RuleFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before; `ended` adds the rules that are over."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: UUID | None = None
    ended: bool = False


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """`warning` says why the rule can never win, if it cannot."""

    rule: CommissionRule
    warning: ShadowWarning | None


class RulePage(msgspec.Struct, frozen=True, kw_only=True):
    """The latest first; `next_cursor` is null on the last page."""

    items: list[RuleView]
    next_cursor: UUID | None


class PreviewLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    product_id: ProductId
    unit_price_minor: Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)]
    quantity: Annotated[int, Meta(ge=1, le=999)] = 1


class PreviewCommission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A basket, and the moment at which it would be bought; left out, now."""

    currency: Annotated[str, Meta(max_length=3)]
    lines: Annotated[list[PreviewLine], Meta(min_length=1, max_length=100)]
    at: Annotated[datetime, Meta(tz=True)] | None = None


class PreviewedLine(msgspec.Struct, frozen=True, kw_only=True):
    """`candidates` are all rules that fit, the one that wins first, and so says the commission."""

    product_id: ProductId
    total_minor: int
    commission_minor: int
    candidates: list[CommissionRule]


class CommissionPreview(msgspec.Struct, frozen=True, kw_only=True):
    lines: list[PreviewedLine]
    commission_minor: int


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    product_id: ProductId
    shop_id: ShopId
    categories: tuple[CategoryId, ...]


class _Way(msgspec.Struct, frozen=True, kw_only=True):
    category_id: CategoryId
    way: tuple[CategoryId, ...]


async def add_rule(tx: Tx, principal: Principal, wanted: AddCommissionRule) -> RuleView:
    """Add a rule. Orders placed from its `valid_from` on may pay it.

    Raises:
        InvalidInput: `commission.needs_currency`, `commission.empty_band`, `commission.min_above_max`,
            `commission.ends_before_it_begins`, `commission.unknown_subject`, `money.unknown_currency`.
        Rejected: `commission.in_the_past`: placed orders keep their terms.
    """
    require("commission.write", principal)
    _require_sense(wanted, tx.now)
    await tx.con.execute(SQL["lock_rules"])
    missing = await tx.con.fetchval(
        SQL["read_missing_subject"], wanted.product_id, wanted.shop_id, wanted.category_id
    )
    if missing is not None:
        raise InvalidInput(
            "commission.unknown_subject", "There is nothing with this id.", field=f"$.{missing}"
        )
    rule_id = CommissionRuleId(
        await tx.con.fetchval(
            SQL["insert_rule"],
            wanted.label,
            wanted.product_id,
            wanted.shop_id,
            wanted.category_id,
            wanted.currency,
            wanted.price_from_minor,
            wanted.price_below_minor,
            wanted.basis_points,
            wanted.fixed_minor,
            wanted.min_minor,
            wanted.max_minor,
            wanted.valid_from or tx.now,
            wanted.valid_until,
            principal.user_id,
        )
    )
    rule = await _load(tx.con, rule_id)
    _tell(tx, principal, rule, "added")
    await record(tx, principal, "commission.add_rule", "commission_rule", rule_id, after=rule)
    return (await _with_warnings(tx.con, [rule], tx.now))[0]


async def end_rule(
    tx: Tx, principal: Principal, rule_id: CommissionRuleId, wanted: EndCommissionRule
) -> RuleView:
    """Let a rule say nothing from a moment on.

    Raises:
        NotFound: `commission.rule_not_found`.
        Rejected: `commission.in_the_past`, `commission.last_default`: some rule has to fit everything.
        Conflict: `commission.ends_earlier`: it is over by then.
    """
    require("commission.write", principal)
    await tx.con.execute(SQL["lock_rules"])
    rule = await _load(tx.con, rule_id)
    at = max(wanted.at or tx.now, rule.valid_from)
    if at < tx.now:
        raise _past("$.at")
    if rule.is_default and not await tx.con.fetchval(SQL["has_default_without"], rule_id, at):
        raise Rejected(
            "commission.last_default",
            "Add another rule without conditions first: every order needs one that fits.",
        )
    if await tx.con.fetchval(SQL["end_rule"], rule_id, at) is None:
        raise Conflict("commission.ends_earlier", "This rule is over by then already.")
    ended = await _load(tx.con, rule_id)
    _tell(tx, principal, ended, "ended")
    await record(
        tx,
        principal,
        "commission.end_rule",
        "commission_rule",
        rule_id,
        before={"valid_until": rule.valid_until},
        after={"valid_until": ended.valid_until},
    )
    return (await _with_warnings(tx.con, [ended], tx.now))[0]


async def list_rules(
    con: Connection, principal: Principal, wanted: RuleFilter, now: datetime
) -> RulePage:
    """Return a page of rules with their warnings."""
    require("ledger.read", principal)
    rows = await fetch_all(
        con, SQL["list_rules"], CommissionRule, wanted.cursor, wanted.ended, wanted.limit + 1
    )
    page = rows[: wanted.limit]
    return RulePage(
        items=await _with_warnings(con, page, now),
        next_cursor=page[-1].id if len(rows) > len(page) else None,
    )


async def read_rule(
    con: Connection, principal: Principal, rule_id: CommissionRuleId, now: datetime
) -> RuleView:
    """Return a rule.

    Raises:
        NotFound: `commission.rule_not_found`.
    """
    require("ledger.read", principal)
    return (await _with_warnings(con, [await _load(con, rule_id)], now))[0]


async def preview(
    con: Connection, principal: Principal, wanted: PreviewCommission, now: datetime
) -> CommissionPreview:
    """Say what a basket would pay, before discounts, and by which rules.

    Raises:
        InvalidInput: `commission.unknown_subject`: a product that is not there; `money.unknown_currency`.
    """
    require("ledger.read", principal)
    require_currency(wanted.currency)
    products = [line.product_id for line in wanted.lines]
    places = {
        place.product_id: place
        for place in await fetch_all(con, SQL["read_product_places"], _Place, products)
    }
    goods: list[Sold] = []
    for number, line in enumerate(wanted.lines):
        if line.product_id not in places:
            raise InvalidInput(
                "commission.unknown_subject",
                "There is no such product.",
                field=f"$.lines[{number}].product_id",
            )
        goods.append(
            Sold(
                product_id=line.product_id,
                shop_id=places[line.product_id].shop_id,
                unit_price_minor=line.unit_price_minor,
            )
        )
    book = await open_book(con, goods, wanted.currency, wanted.at or now)
    lines: list[PreviewedLine] = []
    for line, sold in zip(wanted.lines, goods, strict=True):
        total = line.unit_price_minor * line.quantity
        lines.append(
            PreviewedLine(
                product_id=line.product_id,
                total_minor=total,
                commission_minor=book.of(sold, total).commission_minor,
                candidates=book.candidates(sold),
            )
        )
    return CommissionPreview(
        lines=lines, commission_minor=sum(line.commission_minor for line in lines)
    )


def _require_sense(wanted: AddCommissionRule, now: datetime) -> None:
    if wanted.currency is not None:
        require_currency(wanted.currency)
    elif wanted.fixed_minor or any(
        amount is not None
        for amount in (
            wanted.min_minor,
            wanted.max_minor,
            wanted.price_from_minor,
            wanted.price_below_minor,
        )
    ):
        raise InvalidInput(
            "commission.needs_currency",
            "Say in which currency the amounts are; add one rule for each.",
            field="$.currency",
        )
    if (
        wanted.price_below_minor is not None
        and (wanted.price_from_minor or 0) >= wanted.price_below_minor
    ):
        raise InvalidInput(
            "commission.empty_band", "No price is in this band.", field="$.price_below_minor"
        )
    if (
        wanted.min_minor is not None
        and wanted.max_minor is not None
        and (wanted.min_minor > wanted.max_minor)
    ):
        raise InvalidInput(
            "commission.min_above_max", "The least is more than the most.", field="$.min_minor"
        )
    begins = wanted.valid_from or now
    if begins < now:
        raise _past("$.valid_from")
    if wanted.valid_until is not None and wanted.valid_until <= begins:
        raise InvalidInput(
            "commission.ends_before_it_begins",
            "A rule ends after it begins.",
            field="$.valid_until",
        )


def _past(field: str) -> Rejected:
    return Rejected(
        "commission.in_the_past",
        "Orders that are placed keep their terms; choose a moment from now on.",
        field=field,
    )


def _tell(tx: Tx, principal: Principal, rule: CommissionRule, change: str) -> None:
    tx.emit(
        OPS,
        CommissionChanged(
            rule=rule.id,
            change="added" if change == "added" else "ended",
            basis_points=rule.basis_points,
            changed_by=principal.user_id,
        ),
    )


async def _load(con: Connection, rule_id: CommissionRuleId) -> CommissionRule:
    rule = await fetch_one(con, SQL["read_rule"], CommissionRule, rule_id)
    if rule is None:
        raise NotFound("commission.rule_not_found", "There is no such commission rule.")
    return rule


async def _with_warnings(
    con: Connection, rules: list[CommissionRule], now: datetime
) -> list[RuleView]:
    everything = await fetch_all(con, SQL["read_open_rules"], CommissionRule, WEIGHED_MAX + 1)
    if len(everything) > WEIGHED_MAX:
        return [RuleView(rule=rule, warning=None) for rule in rules]
    named = list({rule.product_id for rule in everything if rule.product_id is not None})
    goods = Goods(
        categories={
            row.category_id: row.way
            for row in await fetch_all(con, SQL["read_category_ways"], _Way)
        },
        products={
            place.product_id: (place.shop_id, place.categories)
            for place in await fetch_all(con, SQL["read_product_places"], _Place, named)
        },
    )
    return [RuleView(rule=rule, warning=warn_of(rule, everything, goods, now)) for rule in rules]
