"""The market's commission rules. Orders freeze what a rule says on their lines, so a change touches only later ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec

from feira.platform.domain.commission import (
    CommissionItem,
    CommissionRule,
    LineCommission,
    line_commission,
    ranked,
)
from feira.platform.domain.ids import CategoryId, CommissionRuleId, ProductId, ShopId
from feira.platform.domain.payments_events import CommissionChanged
from feira.platform.domain.permissions import Principal, require
from feira.platform.domain.topics import OPS
from feira.services.audit.recording import record
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL: Final = load_queries("commission")


class CommissionView(msgspec.Struct, frozen=True, kw_only=True):
    """The market's default commission; 1,000 basis points are 10 %."""

    basis_points: int
    valid_from: datetime


class ChangeCommission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    basis_points: Annotated[int, msgspec.Meta(ge=0, le=10_000)]


class Sold(msgspec.Struct, frozen=True, kw_only=True):
    """A product of a shop, at a price."""

    product_id: ProductId
    shop_id: ShopId
    unit_price_minor: int


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    product_id: ProductId
    shop_id: ShopId
    categories: tuple[CategoryId, ...]


class CommissionBook:
    """The rules that may fit a basket of one currency, at one moment."""

    def __init__(
        self,
        rules: Sequence[CommissionRule],
        places: Iterable[_Place],
        currency: str,
        at: datetime,
    ) -> None:
        self._rules = rules
        self._categories = {place.product_id: place.categories for place in places}
        self._currency = currency
        self._at = at

    def of(self, sold: Sold, amount_minor: int) -> LineCommission:
        """What the market takes of a line for which `amount_minor` is paid."""
        return line_commission(self._rules, self._item(sold), amount_minor, self._at)

    def candidates(self, sold: Sold) -> list[CommissionRule]:
        """Every rule that fits, the one that wins first."""
        return ranked(self._rules, self._item(sold), self._at)

    def _item(self, sold: Sold) -> CommissionItem:
        return CommissionItem(
            product_id=sold.product_id,
            shop_id=sold.shop_id,
            categories=self._categories.get(sold.product_id, ()),
            currency=self._currency,
            unit_price_minor=sold.unit_price_minor,
        )


async def open_book(
    con: Connection, sold: Iterable[Sold], currency: str, at: datetime
) -> CommissionBook:
    """Read the rules for a basket; categories only where a rule asks for them."""
    goods = list(sold)
    products = list({one.product_id for one in goods})
    shops = list({one.shop_id for one in goods})
    rules = await fetch_all(
        con, SQL["read_rules_for"], CommissionRule, products, shops, currency, at
    )
    places: list[_Place] = []
    if any(rule.category_id is not None for rule in rules):
        places = await fetch_all(con, SQL["read_product_places"], _Place, products)
    return CommissionBook(rules, places, currency, at)


async def platform_basis_points(con: Connection) -> int:
    """The share that an order placed now pays where no rule says otherwise."""
    return (await _default(con)).basis_points


async def read_commission(con: Connection, principal: Principal) -> CommissionView:
    require("ledger.read", principal)
    rule = await _default(con)
    return CommissionView(basis_points=rule.basis_points, valid_from=rule.valid_from)


async def change_commission(
    tx: Tx, principal: Principal, change: ChangeCommission
) -> CommissionView:
    """Replace the default by one that is valid from this transaction on."""
    require("commission.write", principal)
    await tx.con.execute(SQL["lock_rules"])
    before = await _default(tx.con)
    rule = CommissionRuleId(
        await tx.con.fetchval(
            SQL["insert_rule"],
            *("", None, None, None, None, None, None),
            *(change.basis_points, 0, None, None, tx.now, None, principal.user_id),
        )
    )
    await tx.con.execute(SQL["end_defaults"], rule, tx.now)
    tx.emit(
        OPS,
        CommissionChanged(
            rule=rule,
            change="added",
            basis_points=change.basis_points,
            changed_by=principal.user_id,
        ),
    )
    await record(
        tx,
        principal,
        "commission.change_default",
        "commission_rule",
        rule,
        before={"rule": before.id, "basis_points": before.basis_points},
        after={"basis_points": change.basis_points},
    )
    return CommissionView(basis_points=change.basis_points, valid_from=tx.now)


async def _default(con: Connection) -> CommissionRule:
    rule = await fetch_one(con, SQL["read_default"], CommissionRule)
    assert rule is not None, "the migration brings the first, and the last one is not ended"
    return rule
