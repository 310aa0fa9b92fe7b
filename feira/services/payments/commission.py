"""The market's commission rules. Orders freeze the rule on their lines, so a change touches only later ones."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from feira.platform.domain.payments_events import CommissionChanged
from feira.platform.domain.permissions import Principal, require
from feira.platform.domain.topics import OPS
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_one, load_queries

SQL = load_queries("payments")


class CommissionView(msgspec.Struct, frozen=True, kw_only=True):
    """The platform's default commission; 1,000 basis points are 10 %."""

    basis_points: int
    valid_from: datetime


class ChangeCommission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    basis_points: Annotated[int, msgspec.Meta(ge=0, le=10_000)]


async def platform_basis_points(con: Connection) -> int:
    """The share that an order placed now pays."""
    return (await _current(con)).basis_points


async def read_commission(con: Connection, principal: Principal) -> CommissionView:
    require("ledger.read", principal)
    return await _current(con)


async def change_commission(
    tx: Tx, principal: Principal, change: ChangeCommission
) -> CommissionView:
    """Add a rule that is valid from this transaction on."""
    require("commission.write", principal)
    await tx.con.execute(SQL["insert_commission_rule"], change.basis_points)
    tx.emit(OPS, CommissionChanged(basis_points=change.basis_points, changed_by=principal.user_id))
    return await _current(tx.con)


async def _current(con: Connection) -> CommissionView:
    rule = await fetch_one(con, SQL["read_commission_rule"], CommissionView)
    assert rule is not None, "the migration brings the first rule"
    return rule
