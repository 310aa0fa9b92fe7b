"""Every endpoint there is, in the order in which the documentation lists them."""

from __future__ import annotations

from typing import Final

from feira.http import (
    actors,
    attachments,
    blocks,
    carts,
    conversations,
    disputes,
    jobs,
    ledger,
    media,
    messages,
    notifications,
    offers,
    orders,
    payments,
    payouts,
    products,
    promotions,
    provider_events,
    refunds,
    reports,
    returns,
    search,
    shipping,
    shops,
    support,
    users,
)
from feira.http.endpoint import Endpoint

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *payouts.ENDPOINTS,
    *users.ENDPOINTS,
    *shops.ENDPOINTS,
    *products.ENDPOINTS,
    *media.ENDPOINTS,
    *search.ENDPOINTS,
    *shipping.ENDPOINTS,
    *promotions.ENDPOINTS,
    *carts.ENDPOINTS,
    *orders.ENDPOINTS,
    *refunds.ENDPOINTS,
    *disputes.ENDPOINTS,
    *returns.ENDPOINTS,
    *payments.ENDPOINTS,
    *provider_events.ENDPOINTS,
    *conversations.ENDPOINTS,
    *messages.ENDPOINTS,
    *support.ENDPOINTS,
    *attachments.ENDPOINTS,
    *blocks.ENDPOINTS,
    *reports.ENDPOINTS,
    *offers.ENDPOINTS,
    *notifications.ENDPOINTS,
    *jobs.ENDPOINTS,
    *actors.ENDPOINTS,
    *ledger.ENDPOINTS,
)
