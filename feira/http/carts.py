"""The cart, of users and of guests."""

from __future__ import annotations

from typing import Final

from feira.http.call import Call
from feira.http.endpoint import Answer, endpoint
from feira.platform.domain.ids import VariantId
from feira.services.orders.carts import (
    CartView,
    SetCartLine,
    Shopper,
    merge_guest_cart,
    read_cart,
    set_line,
)
from feira.services.orders.quotes import QuoteCart, QuoteView, quote_cart
from feira.sql.database import Tx

CART_HEADER: Final = "X-Cart-Token"
_TOKEN_CHARS_MAX: Final = 200


@endpoint(
    "GET",
    "/v1/cart",
    service="orders",
    summary="Show the cart with today's prices and stock.",
    signed_in=False,
)
async def get_cart(call: Call) -> CartView:
    """A guest sends the token of their cart as `X-Cart-Token`.

    A signed-in user who still sends one gets the guest's lines added to their own, once.
    """
    asking = await _merged(call)
    async with call.market.database.connection() as con:
        return await read_cart(con, asking)


@endpoint(
    "PUT",
    "/v1/cart/lines/{variant}",
    service="orders",
    summary="Set how many of a variant the cart holds; 0 takes it out.",
    signed_in=False,
    answer=CartView,
)
async def put_cart_line(call: Call, variant: VariantId, body: SetCartLine) -> Answer:
    """A guest's first line makes their cart; its token comes once, in `X-Cart-Token` and in the body."""

    async def work(tx: Tx) -> CartView:
        return await set_line(tx, shopper(call), variant, body)

    view = await call.transact(CartView, work)
    headers = () if view.token is None else ((CART_HEADER, view.token),)
    return Answer(body=view, headers=headers)


@endpoint(
    "POST",
    "/v1/cart/quote",
    service="orders",
    summary="Price the cart: discounts, ways of sending, taxes, and what a checkout expects.",
    signed_in=False,
)
async def post_cart_quote(call: Call, body: QuoteCart) -> QuoteView:
    """Codes that do nothing come back with the reason; items that are not for sale are left out."""
    return await quote_cart(call.market, call.caller, await _merged(call), body)


def shopper(call: Call) -> Shopper:
    """Say whose cart the request means."""
    return Shopper(
        user_id=call.caller.user_id if call.caller is not None else None,
        guest_token=guest_token(call),
    )


async def _merged(call: Call) -> Shopper:
    """Say whose cart the request means, once a guest's that came along is in it."""
    asking = shopper(call)

    async def merge(tx: Tx) -> None:
        assert asking.user_id is not None, "only a user's cart takes a guest's lines"
        assert asking.guest_token is not None, "only a token opens a guest's cart"
        await merge_guest_cart(tx, asking.user_id, asking.guest_token)

    if asking.brings_guest_cart:
        await call.market.database.transact(merge)
    return asking


def guest_token(call: Call) -> str | None:
    """Return the guest's token; one that cannot be ours opens nothing."""
    token = call.request.headers.get(CART_HEADER, "")
    # Header bytes beyond ASCII arrive as lone surrogates, which no hash takes.
    return token if 1 <= len(token) <= _TOKEN_CHARS_MAX and token.isascii() else None


ENDPOINTS: Final = (get_cart, put_cart_line, post_cart_quote)
