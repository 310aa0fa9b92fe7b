"""Promotions of shops and of the market."""

from __future__ import annotations

from typing import Final

from feira.http.blocks import NOTHING
from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import PromotionId, ShopId
from feira.services.orders import promotions
from feira.services.orders.promotions import (
    ChangePromotion,
    NewPromotion,
    PromotionPage,
    PromotionsQuery,
    PromotionView,
)


@endpoint(
    "POST",
    "/v1/shops/{shop}/promotions",
    service="orders",
    summary="Add a promotion that the shop pays for.",
    status=201,
)
async def post_shop_promotion(call: Call, shop: ShopId, body: NewPromotion) -> PromotionView:
    principal = call.principal
    return await call.transact(
        PromotionView,
        lambda tx: promotions.create_shop_promotion(tx, principal, shop, body),
    )


@endpoint(
    "GET", "/v1/shops/{shop}/promotions", service="orders", summary="List a shop's promotions."
)
async def list_shop_promotions(call: Call, shop: ShopId, query: PromotionsQuery) -> PromotionPage:
    async with call.market.database.connection() as con:
        return await promotions.list_promotions(con, call.principal, shop, query)


@endpoint(
    "POST",
    "/v1/admin/promotions",
    service="orders",
    summary="Add a promotion that the market pays for.",
    status=201,
)
async def post_market_promotion(call: Call, body: NewPromotion) -> PromotionView:
    """Shops receive the discount from the market when the order completes."""
    principal = call.principal
    return await call.transact(
        PromotionView, lambda tx: promotions.create_market_promotion(tx, principal, body)
    )


@endpoint("GET", "/v1/admin/promotions", service="orders", summary="List the market's promotions.")
async def list_market_promotions(call: Call, query: PromotionsQuery) -> PromotionPage:
    async with call.market.database.connection() as con:
        return await promotions.list_promotions(con, call.principal, None, query)


@endpoint("GET", "/v1/promotions/{promotion}", service="orders", summary="Show a promotion.")
async def get_promotion(call: Call, promotion: PromotionId) -> PromotionView:
    async with call.market.database.connection() as con:
        return await promotions.read_promotion(con, call.principal, promotion)


@endpoint(
    "PATCH",
    "/v1/promotions/{promotion}",
    service="orders",
    summary="Rename, switch or limit a promotion.",
)
async def patch_promotion(
    call: Call, promotion: PromotionId, body: ChangePromotion
) -> PromotionView:
    principal = call.principal
    return await call.transact(
        PromotionView, lambda tx: promotions.change_promotion(tx, principal, promotion, body)
    )


@endpoint(
    "DELETE",
    "/v1/promotions/{promotion}",
    service="orders",
    summary="End a promotion for good; its code is free again.",
)
async def delete_promotion(call: Call, promotion: PromotionId) -> None:
    principal = call.principal
    await call.transact(NOTHING, lambda tx: promotions.archive_promotion(tx, principal, promotion))


ENDPOINTS: Final = (
    post_shop_promotion,
    list_shop_promotions,
    post_market_promotion,
    list_market_promotions,
    get_promotion,
    patch_promotion,
    delete_promotion,
)
