"""How shops send things and charge tax, and the market's table of tax rates."""

from __future__ import annotations

from typing import Final

from feira.http.blocks import NOTHING
from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import ShippingMethodId, ShopId
from feira.services.orders import shipping_methods, tax_rates
from feira.services.orders.shipping_methods import (
    ShippingMethodInput,
    ShippingMethodList,
    ShippingMethodView,
)
from feira.services.orders.tax_rates import CountryRates, ShopTax, TaxRateList
from feira.services.users import fields


@endpoint(
    "GET",
    "/v1/shops/{shop}/shipping-methods",
    service="orders",
    summary="List a shop's ways of sending, with their tables.",
)
async def list_shipping_methods(call: Call, shop: ShopId) -> ShippingMethodList:
    async with call.market.database.connection() as con:
        return await shipping_methods.list_methods(con, call.principal, shop)


@endpoint(
    "POST",
    "/v1/shops/{shop}/shipping-methods",
    service="orders",
    summary="Add a way of sending.",
    status=201,
)
async def post_shipping_method(
    call: Call, shop: ShopId, body: ShippingMethodInput
) -> ShippingMethodView:
    """From the first one on, the shop sends only where one of its methods goes."""
    principal = call.principal
    return await call.transact(
        ShippingMethodView,
        lambda tx: shipping_methods.add_method(tx, principal, shop, body),
    )


@endpoint(
    "PUT",
    "/v1/shops/{shop}/shipping-methods/{method}",
    service="orders",
    summary="Give a way of sending other tables.",
)
async def put_shipping_method(
    call: Call, shop: ShopId, method: ShippingMethodId, body: ShippingMethodInput
) -> ShippingMethodView:
    principal = call.principal
    return await call.transact(
        ShippingMethodView,
        lambda tx: shipping_methods.replace_method(tx, principal, shop, method, body),
    )


@endpoint(
    "DELETE",
    "/v1/shops/{shop}/shipping-methods/{method}",
    service="orders",
    summary="Take a way of sending away.",
)
async def delete_shipping_method(call: Call, shop: ShopId, method: ShippingMethodId) -> None:
    principal = call.principal
    await call.transact(
        NOTHING, lambda tx: shipping_methods.remove_method(tx, principal, shop, method)
    )


@endpoint("GET", "/v1/shops/{shop}/tax", service="orders", summary="Show how a shop charges tax.")
async def get_shop_tax(call: Call, shop: ShopId) -> ShopTax:
    async with call.market.database.connection() as con:
        return await tax_rates.read_shop_tax(con, call.principal, shop)


@endpoint(
    "PUT",
    "/v1/shops/{shop}/tax",
    service="orders",
    summary="Say whether the shop's prices include tax, or the shop charges none.",
)
async def put_shop_tax(call: Call, shop: ShopId, body: ShopTax) -> ShopTax:
    principal = call.principal
    return await call.transact(
        ShopTax, lambda tx: tax_rates.write_shop_tax(tx, principal, shop, body)
    )


@endpoint(
    "GET",
    "/v1/tax-rates/{country}",
    service="orders",
    summary="List a country's tax rates.",
    signed_in=False,
)
async def get_tax_rates(call: Call, country: fields.Country) -> TaxRateList:
    async with call.market.database.connection() as con:
        return await tax_rates.read_rates(con, country)


@endpoint(
    "PUT",
    "/v1/admin/tax-rates/{country}",
    service="orders",
    summary="Give a country other tax rates.",
)
async def put_tax_rates(call: Call, country: fields.Country, body: CountryRates) -> TaxRateList:
    """For later checkouts; orders keep the rates that they were placed at."""
    principal = call.principal
    return await call.transact(
        TaxRateList, lambda tx: tax_rates.replace_rates(tx, principal, country, body)
    )


ENDPOINTS: Final = (
    list_shipping_methods,
    post_shipping_method,
    put_shipping_method,
    delete_shipping_method,
    get_shop_tax,
    put_shop_tax,
    get_tax_rates,
    put_tax_rates,
)
