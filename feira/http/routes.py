"""Every endpoint there is, in the order in which the documentation lists them."""

from __future__ import annotations

from typing import Final

from feira.http import carts, orders
from feira.http.endpoint import Endpoint

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *carts.ENDPOINTS,
    *orders.ENDPOINTS,
)
