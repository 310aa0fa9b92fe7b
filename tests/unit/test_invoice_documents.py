"""Invoices and tables as files: the same input gives the same bytes, every name can be written, nothing computes."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from feira.platform.domain.ids import OrderId, PromotionId
from feira.platform.domain.shipping import ShippingRate
from feira.services.documents.tables import safe_cell, write_csv
from feira.services.orders.discounts import DiscountView
from feira.services.orders.invoice_documents import invoice_csv, invoice_pdf, percent
from feira.services.orders.invoices import Invoice, InvoiceLine, TaxSum
from feira.services.orders.views import ShippingAddress

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def invoice(*, seller: str = "Olaria da Rosa", lines: int = 1) -> Invoice:
    return Invoice(
        number=42,
        issued_at=AT,
        seller_name=seller,
        seller_country="PT",
        seller_tax_number="PT501964843",
        buyer=ShippingAddress(
            name="Ευγενία Žižková-Иванова",
            line1="Rua das Flores 12",
            line2="",
            city="Łódź",
            region="",
            postal_code="4050-262",
            country="PT",
            phone="",
        ),
        order_id=OrderId(UUID(int=1)),
        order_number=1_001,
        ordered_at=AT,
        currency="EUR",
        lines=[
            InvoiceLine(
                title=f"=HYPERLINK(1) Vase {number}",
                sku="-VASE",
                options={"Colour": "Blue"},
                quantity=2,
                unit_price_minor=1_000,
                total_minor=2_000,
                taxed_minor=2_000,
                tax_name="IVA",
                tax_basis_points=2_300,
                tax_minor=374,
            )
            for number in range(lines)
        ],
        shipping=ShippingRate(
            method_id="1", name="Correio Azul", price_minor=450, days_min=1, days_max=3
        ),
        discounts=[
            DiscountView(
                promotion_id=PromotionId(UUID(int=2)),
                name="Spring",
                code="SPRING",
                funded_by="market",
                amount_minor=500,
            )
        ],
        taxes=[TaxSum(name="IVA", basis_points=2_300, net_minor=1_626, tax_minor=374)],
        items_minor=2_000,
        shipping_minor=450,
        tax_minor=0,
        tax_included_minor=374,
        discount_minor=500,
        total_minor=1_950,
    )


def test_the_same_invoice_is_the_same_bytes_and_another_is_not() -> None:
    first = invoice_pdf(invoice())
    assert first.startswith(b"%PDF-")
    assert first == invoice_pdf(invoice())
    assert first != invoice_pdf(invoice(seller="Quinta da Amélia"))


@pytest.mark.parametrize(
    "seller", ["Ŝtúr & Søn", "Άννα", "Борис", "שלום", "日本", "\u202egnp", "x" * 80]
)
def test_every_name_can_be_written(seller: str) -> None:
    assert invoice_pdf(invoice(seller=seller)).startswith(b"%PDF-")


def test_a_long_invoice_goes_on_over_pages() -> None:
    document = invoice_pdf(invoice(lines=100))
    assert document.count(b"/Type /Page\n") >= 3


def test_the_csv_says_the_same_sums_and_no_cell_computes() -> None:
    rows = list(csv.DictReader(io.StringIO(invoice_csv(invoice()).decode("utf-8-sig"))))
    assert [(row["kind"], row["amount"]) for row in rows] == [
        ("line", "20.00"),
        ("shipping", "4.50"),
        ("discount", "-5.00"),
        ("total", "19.50"),
    ]
    assert rows[0]["description"] == "'=HYPERLINK(1) Vase 0"
    assert rows[0]["sku"] == "'-VASE"
    assert rows[0]["tax_percent"] == "23"
    on_top = msgspec.structs.replace(invoice(), tax_minor=374, tax_included_minor=0)
    kinds = [
        row["kind"] for row in csv.DictReader(io.StringIO(invoice_csv(on_top).decode("utf-8-sig")))
    ]
    assert kinds == ["line", "shipping", "discount", "tax", "total"]


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-cmd",
        "@x",
        "\t=1",
        "  =1",
        "\r",
        "\n1",
        "|x",
        "%x",
        "\uff1d1",
        "+351 210 000 000",
    ],
)
def test_what_a_spreadsheet_would_compute_is_text(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-5.00", "12", "a=1", "", "José"])
def test_numbers_and_plain_text_stay_as_they_are(text: str) -> None:
    assert safe_cell(text) == text


def test_a_table_is_read_back_as_it_was_written() -> None:
    body = write_csv(("a", "b"), [('say "x", y', "two\nlines"), (1, None)])
    assert body.startswith(b"\xef\xbb\xbf")
    assert list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""))) == [
        ["a", "b"],
        ['say "x", y', "two\nlines"],
        ["1", ""],
    ]


def test_percents_are_written_short() -> None:
    assert [percent(points) for points in (2_300, 550, 1_025, 0, 1)] == [
        "23", "5.5", "10.25", "0", "0.01",
    ]  # fmt: skip
