"""Answering a bank: once, in time, by whoever sold what it is about, or by the market's own people."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from feira.platform.domain.chargebacks import DECIDED
from feira.platform.domain.errors import Conflict, NotAllowed
from feira.platform.domain.ids import ChargebackId
from feira.platform.domain.payout_jobs import SubmitEvidence
from feira.platform.domain.permissions import Principal, is_allowed, is_privileged, require
from feira.platform.gateways.payments.objects import Evidence
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.services.audit.recording import record
from feira.services.chargebacks.outcomes import apply_dispute, tell
from feira.services.chargebacks.rows import (
    SQL,
    ChargebackRow,
    found,
    load_chargeback,
    read_shares,
)
from feira.services.chargebacks.views import ChargebackView, read_view, relations_to
from feira.services.market import Market
from feira.services.payments.payments import outside_key, require_same_gateway
from feira.sql.database import Tx
from feira.sql.loader import fetch_one

_Text = Annotated[str, Meta(max_length=10_000)]


class EvidenceInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the bank is told, as plain text. It can be told once."""

    explanation: Annotated[str, Meta(min_length=1, max_length=20_000, pattern=r"\S")]
    product_description: _Text = ""
    customer_communication: _Text = ""
    carrier: Annotated[str, Meta(max_length=200)] = ""
    tracking_number: Annotated[str, Meta(max_length=200)] = ""
    shipped_on: date | None = None


async def answer(
    tx: Tx, principal: Principal, chargeback_id: ChargebackId, evidence: EvidenceInput
) -> ChargebackView:
    """Keep the answer; a job gives it to the bank.

    Raises:
        NotFound: `chargeback.not_found`, also for other shops'.
        NotAllowed: `chargeback.several_shops`: only the market's own people answer for several shops.
        Conflict: `chargeback.decided`, `chargeback.answered`, `chargeback.too_late`.
    """
    view = await read_view(tx.con, principal, chargeback_id)
    relations = await relations_to(tx.con, principal, view)
    require("chargeback.answer", principal, relations)
    row = found(await fetch_one(tx.con, SQL["lock_by_id"], ChargebackRow, chargeback_id))
    shares = await read_shares(tx.con, chargeback_id)
    if len({share.shop_id for share in shares}) > 1 and not is_allowed(
        "chargeback.answer", principal
    ):
        raise NotAllowed(
            "chargeback.several_shops",
            "The payment was for several shops: send your evidence to support, who answer for all.",
        )
    if row.state in DECIDED:
        raise Conflict("chargeback.decided", "The bank has decided already.")
    if row.evidence_at is not None or row.state != "needs_response":
        raise Conflict("chargeback.answered", "The bank was answered already; it listens once.")
    if row.evidence_due_at is not None and row.evidence_due_at <= tx.now:
        raise Conflict("chargeback.too_late", "The bank takes no evidence any more.")
    await tx.con.execute(
        SQL["store_evidence"], chargeback_id, msgspec.json.encode(evidence), principal.user_id
    )
    tx.enqueue(SubmitEvidence(chargeback=chargeback_id), dedup=f"evidence:{chargeback_id}")
    if is_privileged("chargeback.answer", principal, relations):
        await record(
            tx,
            principal,
            "chargeback.answer",
            "chargeback",
            chargeback_id,
            before={"state": row.state, "evidence_due_at": row.evidence_due_at},
            after={"evidence_at": tx.now},
        )
    tell(tx, replace(row, evidence_at=tx.now), shares)
    return await read_view(tx.con, principal, chargeback_id)


async def give_to_bank(market: Market, chargeback_id: ChargebackId) -> None:
    """Give the kept answer to the provider, under the same key however often, and apply how the dispute is then."""
    async with market.database.connection() as con:
        row = await load_chargeback(con, chargeback_id)
    assert row.evidence is not None, "the job comes with the answer"
    if row.state != "needs_response":
        return
    require_same_gateway(market, row.gateway)
    evidence = msgspec.json.decode(row.evidence, type=Evidence)
    try:
        dispute = await market.payments.submit_evidence(
            row.gateway_reference,
            evidence,
            idempotency_key=outside_key("evidence", chargeback_id),
        )
    except GatewayRefused as refused:
        # Answered or decided there already: how it is, is what counts.
        if refused.reason != "unexpected_state":
            raise
        dispute = await market.payments.fetch_dispute(row.gateway_reference)
    await market.database.transact(lambda tx: apply_dispute(tx, row.gateway, dispute))
