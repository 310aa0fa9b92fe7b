"""What people take home: invoices, and their orders as a table."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import OrderId, ShopId
from feira.services.orders.history import OrderSearch, export_purchases, export_sales
from feira.services.orders.invoice_documents import invoice_csv, invoice_pdf
from feira.services.orders.invoices import Invoice, read_invoice


@endpoint(
    "GET",
    "/v1/orders/{order}/invoice.pdf",
    service="orders",
    summary="Download an order's invoice as PDF.",
)
async def get_invoice_pdf(call: Call, order: OrderId) -> web.Response:
    """From payment on. It says what was agreed then, whatever happened to the order since."""
    invoice = await _invoice(call, order)
    body = await asyncio.to_thread(invoice_pdf, invoice)
    return file_answer(body, "application/pdf", f"invoice-{invoice.name}.pdf")


@endpoint(
    "GET",
    "/v1/orders/{order}/invoice.csv",
    service="orders",
    summary="Download an order's invoice as CSV.",
)
async def get_invoice_csv(call: Call, order: OrderId) -> web.Response:
    invoice = await _invoice(call, order)
    return file_answer(invoice_csv(invoice), "text/csv", f"invoice-{invoice.name}.csv")


@endpoint(
    "GET", "/v1/orders.csv", service="orders", summary="Download what the caller bought as CSV."
)
async def get_purchases_csv(call: Call, query: OrderSearch) -> web.Response:
    """Newest first, up to 10,000; narrow it by dates for more."""
    async with call.market.database.connection() as con:
        body = await export_purchases(con, call.principal, query)
    return file_answer(body, "text/csv", "orders.csv")


@endpoint(
    "GET",
    "/v1/shops/{shop}/orders.csv",
    service="orders",
    scope="orders:read",
    summary="Download what a shop sold as CSV.",
)
async def get_sales_csv(call: Call, shop: ShopId, query: OrderSearch) -> web.Response:
    """Newest first, up to 10,000; narrow it by dates for more."""
    async with call.market.database.connection() as con:
        body = await export_sales(con, shop, call.principal, query)
    return file_answer(body, "text/csv", "orders.csv")


async def _invoice(call: Call, order: OrderId) -> Invoice:
    async with call.market.database.connection() as con:
        return await read_invoice(con, call.principal, order)


def file_answer(body: bytes, content_type: str, name: str) -> web.Response:
    """A file to save; no cache keeps it."""
    return web.Response(
        body=body,
        content_type=content_type,
        charset="utf-8" if content_type == "text/csv" else None,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "private, no-store",
        },
    )


ENDPOINTS: Final = (get_purchases_csv, get_sales_csv, get_invoice_pdf, get_invoice_csv)
