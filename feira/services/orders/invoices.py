"""Invoices: one for each paid order, numbered without holes by its shop, made of what the order froze."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import OrderId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.shipping import ShippingRate
from feira.services.orders.access import require_readable
from feira.services.orders.discounts import DiscountView, read_discounts
from feira.services.orders.views import ShippingAddress
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL: Final = load_queries("invoices")


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """What was bought. `taxed_minor` is what its tax was computed on: the price after the shop's own discounts."""

    title: str
    sku: str
    options: dict[str, str]
    quantity: int
    unit_price_minor: int
    total_minor: int
    taxed_minor: int
    tax_name: str
    tax_basis_points: int
    tax_minor: int


class TaxSum(msgspec.Struct, frozen=True, kw_only=True):
    """All that is taxed at one rate: `net_minor` without the tax, `tax_minor` of it."""

    name: str
    basis_points: int
    net_minor: int
    tax_minor: int


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an invoice says. `total_minor` is what the buyer paid."""

    number: int
    issued_at: datetime
    seller_name: str
    seller_country: str
    seller_tax_number: str
    buyer: ShippingAddress
    order_id: OrderId
    order_number: int
    ordered_at: datetime
    currency: str
    lines: list[InvoiceLine]
    shipping: ShippingRate | None
    discounts: list[DiscountView]
    taxes: list[TaxSum]
    items_minor: int
    shipping_minor: int
    tax_minor: int
    tax_included_minor: int
    discount_minor: int
    total_minor: int

    @property
    def name(self) -> str:
        """How people call it: `000042`."""
        return f"{self.number:06d}"


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    issued_at: datetime
    seller_name: str
    seller_country: str
    seller_tax_number: str
    order_id: OrderId
    order_number: int
    ordered_at: datetime
    currency: str
    items_minor: int
    shipping_minor: int
    tax_minor: int
    tax_included_minor: int
    discount_minor: int
    total_minor: int
    shipping_tax_name: str
    shipping_tax_basis_points: int
    shipping_tax_minor: int
    shipping_method: msgspec.Raw
    shipping_address: msgspec.Raw
    shipping_discount_minor: int


class _LineRow(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    sku: str
    options: msgspec.Raw
    quantity: int
    unit_price_minor: int
    total_minor: int
    discount_minor: int
    subsidy_minor: int
    tax_name: str
    tax_basis_points: int
    tax_minor: int


async def issue_invoices(tx: Tx, order_ids: Sequence[OrderId]) -> None:
    """Number the invoices of one group's orders, in the transaction that says they are paid.

    Shops' counters are the last rows to be locked before the ledger's: payments of one shop take turns for the commit.
    """
    if order_ids:
        await tx.con.execute(SQL["issue_invoices"], order_ids)


async def read_invoice(con: Connection, principal: Principal, order_id: OrderId) -> Invoice:
    """Return an order's invoice to whoever may see the order.

    Raises:
        NotFound: `order.not_found`; `invoice.not_issued`: the order was not paid.
    """
    await require_readable(con, order_id, principal)
    row = await fetch_one(con, SQL["read_invoice"], _Row, order_id)
    if row is None:
        raise NotFound(
            "invoice.not_issued", "There is an invoice as soon as the order is paid, not before."
        )
    lines = [
        _line(line) for line in await fetch_all(con, SQL["read_invoice_lines"], _LineRow, order_id)
    ]
    return Invoice(
        number=row.number,
        issued_at=row.issued_at,
        seller_name=row.seller_name,
        seller_country=row.seller_country,
        seller_tax_number=row.seller_tax_number,
        buyer=msgspec.json.decode(row.shipping_address, type=ShippingAddress),
        order_id=row.order_id,
        order_number=row.order_number,
        ordered_at=row.ordered_at,
        currency=row.currency,
        lines=lines,
        shipping=msgspec.json.decode(row.shipping_method, type=ShippingRate | None),
        discounts=(await read_discounts(con, [order_id]))[order_id],
        taxes=_tax_sums(row, lines),
        items_minor=row.items_minor,
        shipping_minor=row.shipping_minor,
        tax_minor=row.tax_minor,
        tax_included_minor=row.tax_included_minor,
        discount_minor=row.discount_minor,
        total_minor=row.total_minor,
    )


def _line(row: _LineRow) -> InvoiceLine:
    return InvoiceLine(
        title=row.title,
        sku=row.sku,
        options=msgspec.json.decode(row.options, type=dict[str, str]),
        quantity=row.quantity,
        unit_price_minor=row.unit_price_minor,
        total_minor=row.total_minor,
        taxed_minor=row.total_minor - (row.discount_minor - row.subsidy_minor),
        tax_name=row.tax_name,
        tax_basis_points=row.tax_basis_points,
        tax_minor=row.tax_minor,
    )


def _tax_sums(row: _Row, lines: Sequence[InvoiceLine]) -> list[TaxSum]:
    """One sum for each rate, the highest first."""
    taxed = [
        (line.tax_name, line.tax_basis_points, line.taxed_minor, line.tax_minor) for line in lines
    ]
    taxed.append(
        (
            row.shipping_tax_name,
            row.shipping_tax_basis_points,
            row.shipping_minor - row.shipping_discount_minor,
            row.shipping_tax_minor,
        )
    )
    # An order's taxes are all inside its prices, or all on top.
    inside = row.tax_included_minor > 0
    sums: dict[tuple[int, str], tuple[int, int]] = {}
    for name, basis_points, amount, tax in taxed:
        if name and amount:
            net, so_far = sums.get((basis_points, name), (0, 0))
            sums[basis_points, name] = (net + amount - (tax if inside else 0), so_far + tax)
    return [
        TaxSum(name=name, basis_points=basis_points, net_minor=net, tax_minor=tax)
        for (basis_points, name), (net, tax) in sorted(sums.items(), reverse=True)
    ]
