"""Where payment providers send their news, and what operators see of it."""

from __future__ import annotations

from typing import Final

import msgspec

from feira.http.call import Call
from feira.http.endpoint import Endpoint, endpoint
from feira.platform.domain.ids import ProviderEventId
from feira.services.operations.provider_events import (
    ProviderEventFilter,
    ProviderEventPage,
    ProviderEventView,
    list_provider_events,
    replay,
)
from feira.services.payments import webhooks
from feira.sql.database import Tx


class WebhookReceived(msgspec.Struct, frozen=True, kw_only=True):
    """`new` is false for an event that was kept before."""

    new: bool


@endpoint(
    "POST",
    "/v1/webhooks/{provider}",
    service="payments",
    summary="For payment providers: deliver an event.",
    signed_in=False,
)
async def receive_webhook(call: Call, provider: str) -> WebhookReceived:
    """Verified by its signature on the raw body, kept once and acknowledged; its effect follows."""
    new = await webhooks.receive(call.market, provider, call.request.headers, call.raw_body)
    return WebhookReceived(new=new)


@endpoint(
    "GET",
    "/v1/operations/provider-events",
    service="payments",
    summary="List what payment providers told us, the latest first.",
)
async def list_events(call: Call, query: ProviderEventFilter) -> ProviderEventPage:
    """For finance and admins. `waiting` ones have no effect yet, `ignored` ones are of a type that is not known."""
    async with call.market.database.connection() as con:
        return await list_provider_events(con, call.principal, query)


@endpoint(
    "POST",
    "/v1/operations/provider-events/{provider_event}/replay",
    service="payments",
    summary="Handle a provider's event again.",
)
async def replay_event(call: Call, provider_event: ProviderEventId) -> ProviderEventView:
    """For finance and admins. The provider is asked how the event's subject is now; doing it twice changes nothing."""

    async def work(tx: Tx) -> ProviderEventView:
        return await replay(tx, call.principal, provider_event)

    return await call.transact(ProviderEventView, work)


ENDPOINTS: Final[tuple[Endpoint, ...]] = (receive_webhook, list_events, replay_event)
