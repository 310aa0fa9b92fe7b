"""What stands in the books for the cast: one of each thing that finance may ask for."""

from __future__ import annotations

from feira.platform.domain.permissions import Principal
from feira.services.ledger.checks import request_check
from feira.sql.database import Tx


async def ledger_ids(tx: Tx, finance: Principal) -> dict[str, str]:
    return {"check": str((await request_check(tx, finance)).id)}
