"""An invoice as PDF for people and as CSV for spreadsheets. The same invoice, the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fpdf import FontFace
from fpdf.enums import TableBordersLayout, XPos, YPos

from feira.platform.domain.money import format_money
from feira.services.documents.pdf import Document
from feira.services.documents.tables import write_csv
from feira.services.orders.invoices import Invoice, InvoiceLine

_COLUMNS: Final = (
    "invoice", "issued_at", "seller", "seller_tax_number", "buyer", "order", "kind", "description", "sku", "quantity",
    "unit_price", "amount", "tax_name", "tax_percent", "tax", "currency",
)  # fmt: skip
_HEADINGS: Final = FontFace(emphasis="BOLD", fill_color=(240, 240, 236))


def invoice_pdf(invoice: Invoice) -> bytes:
    """Draw the invoice on A4. Takes some ten milliseconds of a processor: call it off the loop."""
    document = Document(f"Invoice {invoice.name} of {invoice.seller_name}", at=invoice.issued_at)
    document.write_in(16, bold=True)
    _row(document, f"Invoice {invoice.name}", 10)
    document.write_in(grey=True)
    _row(
        document,
        f"Issued on {invoice.issued_at:%Y-%m-%d} for order {invoice.order_number} of {invoice.ordered_at:%Y-%m-%d}",
    )
    document.ln(6)
    _parties(document, invoice)
    document.ln(6)
    _lines(document, invoice)
    document.ln(4)
    _sums(document, invoice)
    return document.finish()


def invoice_csv(invoice: Invoice) -> bytes:
    """One row a line, then the delivery, each discount, each tax on top, and the total; amounts in whole units."""
    return write_csv(_COLUMNS, _rows(invoice))


def percent(basis_points: int) -> str:
    """2,300 -> `23`, 550 -> `5.5`."""
    whole, part = divmod(basis_points, 100)
    return f"{whole}.{part:02d}".rstrip("0").rstrip(".")


def plain(amount_minor: int, currency: str) -> str:
    """1999, EUR -> `19.99`."""
    return format_money(amount_minor, currency).removesuffix(f" {currency}")


def _parties(document: Document, invoice: Invoice) -> None:
    buyer = invoice.buyer
    seller = [invoice.seller_name, invoice.seller_country]
    if invoice.seller_tax_number:
        seller.append(f"Tax number {invoice.seller_tax_number}")
    to = [
        buyer.name,
        buyer.line1,
        buyer.line2,
        f"{buyer.postal_code} {buyer.city}",
        " ".join(part for part in (buyer.region, buyer.country) if part),
    ]
    top, half = document.get_y(), document.epw / 2
    ends: list[float] = []
    for place, (heading, texts) in enumerate((("From", seller), ("To", to))):
        document.set_xy(document.l_margin + place * half, top)
        document.write_in(8, grey=True)
        document.cell(half, 5, heading, new_x=XPos.LEFT, new_y=YPos.NEXT)
        document.write_in(10)
        for text in filter(None, texts):
            document.multi_cell(half - 4, 5, text, new_x=XPos.LEFT, new_y=YPos.NEXT, align="L")
        ends.append(document.get_y())
    document.set_xy(document.l_margin, max(ends))


def _lines(document: Document, invoice: Invoice) -> None:
    document.write_in(8.5)
    with document.table(
        col_widths=(52, 10, 20, 18, 22),
        text_align=("LEFT", "RIGHT", "RIGHT", "RIGHT", "RIGHT"),
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=_HEADINGS,
        line_height=5,
        padding=1,
    ) as table:
        heading = table.row()
        for text in ("What", "Units", "Price each", "Tax", invoice.currency):
            heading.cell(text)
        for line in invoice.lines:
            row = table.row()
            row.cell(_title(line))
            row.cell(str(line.quantity))
            row.cell(plain(line.unit_price_minor, invoice.currency))
            row.cell(f"{line.tax_name} {percent(line.tax_basis_points)} %" if line.tax_name else "")
            row.cell(plain(line.total_minor, invoice.currency))


def _sums(document: Document, invoice: Invoice) -> None:
    rows = [("Items", invoice.items_minor)]
    rows += [(discount.name, -discount.amount_minor) for discount in invoice.discounts]
    if invoice.shipping is not None:
        rows.append((f"Delivery: {invoice.shipping.name}", invoice.shipping_minor))
    if invoice.tax_minor:
        rows.append(("Tax", invoice.tax_minor))
    document.write_in()
    for text, amount_minor in rows:
        _pair(document, text, format_money(amount_minor, invoice.currency))
    document.write_in(11, bold=True)
    _pair(document, "Total", format_money(invoice.total_minor, invoice.currency), 8)
    document.write_in(8, grey=True)
    for tax in invoice.taxes:
        net, amount = (plain(minor, invoice.currency) for minor in (tax.net_minor, tax.tax_minor))
        where = "on" if invoice.tax_minor else "inside, on"
        _pair(document, f"{tax.name} {percent(tax.basis_points)} % {where} {net}", amount)


def _pair(document: Document, text: str, amount: str, height: float = 5.5) -> None:
    document.cell(document.epw - 40, height, text, align="R")
    document.cell(40, height, amount, align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _row(document: Document, text: str, height: float = 5) -> None:
    document.multi_cell(0, height, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L")


def _title(line: InvoiceLine) -> str:
    options = ", ".join(f"{name}: {value}" for name, value in line.options.items())
    return "\n".join(filter(None, (line.title, options, line.sku)))


def _rows(invoice: Invoice) -> Iterator[tuple[object, ...]]:
    head = (
        invoice.name,
        f"{invoice.issued_at:%Y-%m-%dT%H:%M:%SZ}",
        invoice.seller_name,
        invoice.seller_tax_number,
        invoice.buyer.name,
        invoice.order_number,
    )
    currency = invoice.currency
    for line in invoice.lines:
        tax = (line.tax_name, percent(line.tax_basis_points), plain(line.tax_minor, currency))
        yield (
            *head,
            "line",
            line.title,
            line.sku,
            line.quantity,
            plain(line.unit_price_minor, currency),
            plain(line.total_minor, currency),
            *(tax if line.tax_name else ("", "", "")),
            currency,
        )
    rest: list[tuple[str, str, int]] = []
    if invoice.shipping is not None:
        rest.append(("shipping", invoice.shipping.name, invoice.shipping_minor))
    rest += [("discount", one.name, -one.amount_minor) for one in invoice.discounts]
    if invoice.tax_minor:
        rest += [
            ("tax", f"{tax.name} {percent(tax.basis_points)} %", tax.tax_minor)
            for tax in invoice.taxes
        ]
    rest.append(("total", "", invoice.total_minor))
    for kind, description, amount_minor in rest:
        amount = plain(amount_minor, currency)
        yield (*head, kind, description, "", "", "", amount, "", "", "", currency)
