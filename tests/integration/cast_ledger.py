"""What stands in the books for the cast: one of each thing that finance may ask for."""

from __future__ import annotations

from uuid import uuid4

from feira.platform.domain.permissions import Principal
from feira.services.ledger.checks import request_check
from feira.services.payments.commission_rules import AddCommissionRule, add_rule
from feira.sql.database import Tx


async def ledger_ids(tx: Tx, finance: Principal) -> dict[str, str]:
    rule = await add_rule(tx, finance, AddCommissionRule(basis_points=900, currency="SEK"))
    check = await request_check(tx, finance)
    difference = await tx.con.fetchval(
        "INSERT INTO reconciliation_differences (provider, currency, source, provider_minor, ledger_minor)"
        " VALUES ('sandbox', 'EUR', $1, 100, 0) RETURNING id",
        f"pi_{uuid4().hex}",
    )
    return {"difference": str(difference), "check": str(check.id), "rule": str(rule.rule.id)}
