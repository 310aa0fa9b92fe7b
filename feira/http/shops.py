"""Shops: applying, profiles, and the decisions of admins."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import ShopId
from feira.platform.domain.shops import ShopStatus
from feira.services.users import fields, shop_profiles
from feira.services.users.payment_accounts import PaymentAccountView, show_payment_account
from feira.services.users.shop_profiles import (
    ApplyForShop,
    ShopPage,
    ShopPrivateView,
    ShopView,
    UpdateShop,
)
from feira.services.users.shops import Decision, decide
from feira.sql.database import Tx


class ShopsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `status`, all of them. `cursor` is the `next_cursor` of the page before."""

    status: ShopStatus | None = None
    limit: fields.PageLimit = 20
    cursor: UUID | None = None


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; the shop's team reads it."""

    reason: fields.Reason


class OptionalReason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Good news need no reason: `{}` will do."""

    reason: fields.OptionalReason = ""


@endpoint("POST", "/v1/shops", service="users", summary="Apply for a shop.", status=201)
async def apply_for_shop(call: Call, body: ApplyForShop) -> ShopPrivateView:
    """The payment provider checks who you are, then an admin decides; both are pushed to your inbox."""
    principal = call.principal
    return await call.transact(
        ShopPrivateView, lambda tx: shop_profiles.apply_for_shop(tx, principal, body)
    )


@endpoint(
    "GET",
    "/v1/shops/by-slug/{slug}",
    service="users",
    summary="Show a shop by the name in its address.",
    signed_in=False,
)
async def get_shop_by_slug(call: Call, slug: fields.Slug) -> ShopView:
    async with call.market.database.connection() as con:
        return await shop_profiles.read_by_slug(con, call.caller, slug)


@endpoint(
    "GET", "/v1/shops/{shop}", service="users", summary="Show a shop that is open.", signed_in=False
)
async def get_shop(call: Call, shop: ShopId) -> ShopView:
    """Its team and the platform's staff see it in any status."""
    async with call.market.database.connection() as con:
        return await shop_profiles.read_public(con, call.caller, shop)


@endpoint("PATCH", "/v1/shops/{shop}", service="users", summary="Change the own shop's profile.")
async def patch_shop(call: Call, shop: ShopId, body: UpdateShop) -> ShopPrivateView:
    principal = call.principal
    return await call.transact(
        ShopPrivateView, lambda tx: shop_profiles.update_shop(tx, principal, shop, body)
    )


@endpoint("GET", "/v1/shops/{shop}/private", service="users", summary="Show a shop to its team.")
async def get_private_shop(call: Call, shop: ShopId) -> ShopPrivateView:
    async with call.market.database.connection() as con:
        return await shop_profiles.read_private(con, call.principal, shop)


@endpoint(
    "GET",
    "/v1/shops/{shop}/payment-account",
    service="users",
    summary="Show the own shop's account at the payment provider.",
)
async def get_payment_account(call: Call, shop: ShopId) -> PaymentAccountView:
    """Each look makes a new link to the provider's page while the account is not verified."""
    return await show_payment_account(call.market, call.principal, shop)


@endpoint("GET", "/v1/admin/shops", service="users", summary="List shops for a decision.")
async def list_shops(call: Call, query: ShopsQuery) -> ShopPage:
    async with call.market.database.connection() as con:
        return await shop_profiles.list_shops(
            con, call.principal, status=query.status, cursor=query.cursor, limit=query.limit
        )


@endpoint("POST", "/v1/admin/shops/{shop}/approve", service="users", summary="Open a shop.")
async def approve_shop(call: Call, shop: ShopId, body: OptionalReason) -> ShopPrivateView:
    """For a shop that the payment provider verified."""
    return await _decide(call, shop, "approve", body.reason)


@endpoint("POST", "/v1/admin/shops/{shop}/reject", service="users", summary="Turn a shop down.")
async def reject_shop(call: Call, shop: ShopId, body: Reason) -> ShopPrivateView:
    return await _decide(call, shop, "reject", body.reason)


@endpoint(
    "POST", "/v1/admin/shops/{shop}/suspend", service="users", summary="Close a shop for now."
)
async def suspend_shop(call: Call, shop: ShopId, body: Reason) -> ShopPrivateView:
    """Its listings are hidden at once; orders under way go on."""
    return await _decide(call, shop, "suspend", body.reason)


@endpoint("POST", "/v1/admin/shops/{shop}/reinstate", service="users", summary="Lift a suspension.")
async def reinstate_shop(call: Call, shop: ShopId, body: OptionalReason) -> ShopPrivateView:
    """The shop opens again, unless the payment provider restricted it meanwhile."""
    return await _decide(call, shop, "reinstate", body.reason)


async def _decide(call: Call, shop: ShopId, decision: Decision, reason: str) -> ShopPrivateView:
    principal = call.principal

    async def work(tx: Tx) -> ShopPrivateView:
        decided = await decide(tx, principal, shop, decision, reason)
        return await shop_profiles.private_view(tx.con, decided)

    return await call.transact(ShopPrivateView, work)


ENDPOINTS: Final = (
    apply_for_shop,
    # Before {shop}, whose /private would take a shop called `private` for an id.
    get_shop_by_slug,
    get_shop,
    patch_shop,
    get_private_shop,
    get_payment_account,
    list_shops,
    approve_shop,
    reject_shop,
    suspend_shop,
    reinstate_shop,
)
