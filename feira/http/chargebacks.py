"""Chargebacks: a shop's, and all for operators; and the one answer to the bank."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from feira.http.call import Call
from feira.http.endpoint import Endpoint, endpoint
from feira.platform.domain.chargebacks import ChargebackState
from feira.platform.domain.ids import ChargebackId, ShopId
from feira.services.chargebacks import views
from feira.services.chargebacks.answering import EvidenceInput, answer
from feira.services.chargebacks.views import ChargebackPage, ChargebackView
from feira.sql.database import Tx


class ChargebacksQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before."""

    cursor: ChargebackId | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 30


class AllChargebacksQuery(ChargebacksQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: ChargebackState | None = None


@endpoint(
    "GET",
    "/v1/shops/{shop}/chargebacks",
    service="payments",
    summary="List payments of a shop's orders that buyers' banks took back.",
)
async def list_of_shop(call: Call, shop: ShopId, query: ChargebacksQuery) -> ChargebackPage:
    """How they move on is told on the shop's topic as `chargeback.moved`."""
    async with call.market.database.connection() as con:
        return await views.list_of_shop(
            con, call.principal, shop, cursor=query.cursor, limit=query.limit
        )


@endpoint("GET", "/v1/chargebacks/{chargeback}", service="payments", summary="Show a chargeback.")
async def get_chargeback(call: Call, chargeback: ChargebackId) -> ChargebackView:
    async with call.market.database.connection() as con:
        return await views.read_view(con, call.principal, chargeback)


@endpoint(
    "POST",
    "/v1/chargebacks/{chargeback}/evidence",
    service="payments",
    summary="Answer the bank, once, before `evidence_due_at`.",
)
async def post_evidence(
    call: Call, chargeback: ChargebackId, body: EvidenceInput
) -> ChargebackView:
    """By the shop's team or the market's own people; where the payment was for several shops, by the latter alone."""

    async def work(tx: Tx) -> ChargebackView:
        return await answer(tx, call.principal, chargeback, body)

    return await call.transact(ChargebackView, work)


@endpoint("GET", "/v1/admin/chargebacks", service="payments", summary="List all chargebacks.")
async def list_all(call: Call, query: AllChargebacksQuery) -> ChargebackPage:
    """For support, finance and admins. Also told on the topic `ops` as `chargeback.moved`."""
    async with call.market.database.connection() as con:
        return await views.list_all(
            con, call.principal, state=query.state, cursor=query.cursor, limit=query.limit
        )


ENDPOINTS: Final[tuple[Endpoint, ...]] = (list_of_shop, get_chargeback, post_evidence, list_all)
