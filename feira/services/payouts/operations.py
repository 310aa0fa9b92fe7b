"""What operators do about payouts: keep one, let it go on, try again now, or cancel it before money moves."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from feira.platform.domain.audit import Act
from feira.platform.domain.errors import Conflict
from feira.platform.domain.ids import PayoutId
from feira.platform.domain.payout_jobs import AdvancePayout
from feira.platform.domain.payouts import ENDED, require_cancelable
from feira.platform.domain.permissions import Principal, require
from feira.services.audit.recording import record
from feira.services.payouts import outcomes
from feira.services.payouts.rows import PayoutRow, load_payout, lock_payout, store_payout
from feira.services.payouts.views import PayoutView, read_payout
from feira.sql.database import Tx

Reason = Annotated[str, Meta(min_length=1, max_length=300, pattern=r"\S")]


class _Command(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="action", forbid_unknown_fields=True
):
    """Base of what operators do."""


class HoldPayout(_Command, frozen=True, kw_only=True, tag="hold"):
    """Nothing more is asked for; what was asked for already is found out."""

    reason: Reason


class ResumePayout(_Command, frozen=True, kw_only=True, tag="resume"):
    pass


class RetryPayout(_Command, frozen=True, kw_only=True, tag="retry"):
    """At once, whatever it waits for."""


class CancelPayout(_Command, frozen=True, kw_only=True, tag="cancel"):
    """Before its transfer was asked for: the money is available again."""


PayoutCommand = HoldPayout | ResumePayout | RetryPayout | CancelPayout
_ACTS: Final[dict[type[PayoutCommand], Act]] = {
    HoldPayout: "payout.hold",
    ResumePayout: "payout.resume",
    RetryPayout: "payout.retry",
    CancelPayout: "payout.cancel",
}


async def operate(
    tx: Tx, principal: Principal, payout_id: PayoutId, command: PayoutCommand
) -> PayoutView:
    """Do what an operator asks of a payout, and return it.

    Raises:
        NotFound: `payout.not_found`.
        Conflict: `payout.over`, `payout.under_way`; `details` say in which state it is.
    """
    require("payout.operate", principal)
    row = await lock_payout(tx, payout_id)
    if row.state in ENDED:
        raise Conflict(
            "payout.over", f"The payout is {row.state} already.", details={"state": row.state}
        )
    match command:
        case HoldPayout():
            await store_payout(tx, replace(row, held_reason=command.reason))
        case ResumePayout():
            await store_payout(tx, replace(row, held_reason=""))
            tx.enqueue(AdvancePayout(payout=payout_id))
        case RetryPayout():
            await store_payout(tx, replace(row, retry_at=None))
            tx.enqueue(AdvancePayout(payout=payout_id))
        case CancelPayout():
            require_cancelable(row.state)
            await outcomes.cancel(tx, row)
    after = await load_payout(tx.con, payout_id)
    await record(
        tx,
        principal,
        _ACTS[type(command)],
        "payout",
        payout_id,
        reason=command.reason if isinstance(command, HoldPayout) else "",
        before=_facts(row),
        after=_facts(after),
    )
    return await read_payout(tx.con, principal, payout_id)


def _facts(row: PayoutRow) -> dict[str, object]:
    return {"state": row.state, "held_reason": row.held_reason, "retry_at": row.retry_at}
