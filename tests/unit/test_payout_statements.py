"""Statements hold nothing that a spreadsheet runs, and print what they cannot spell."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from uuid import UUID

from feira.platform.domain.ids import PayoutId, ShopId
from feira.services.payouts.statements import Statement, inert, to_csv, to_pdf
from feira.services.payouts.views import PayoutLine, PayoutView

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def statement(*lines: tuple[int, str], shop_name: str = "Azulejos") -> Statement:
    payout = PayoutView(
        id=PayoutId(UUID(int=1)),
        shop_id=ShopId(UUID(int=2)),
        currency="EUR",
        amount_minor=sum(amount for amount, _ in lines),
        carried_in_minor=0,
        carried_out_minor=0,
        slot_at=NOW,
        state="paid",
        attempt=1,
        failure_code="",
        arrives_on=None,
        retry_at=None,
        held_reason="",
        unknown_since=None,
        created_at=NOW,
        updated_at=NOW,
    )
    return Statement(
        payout=payout,
        shop_name=shop_name,
        lines=[
            PayoutLine(
                position=number,
                cause="adjusted",
                order=None,
                order_number=None,
                amount_minor=amount,
                at=NOW,
                reason=reason,
            )
            for number, (amount, reason) in enumerate(lines, start=1)
        ],
    )


def test_text_that_begins_like_a_formula_is_inert() -> None:
    for sign in "=+-@|%\t\r\n":
        assert inert(f"{sign}cmd") == f"'{sign}cmd"
    assert inert("A word = fine") == "A word = fine"


def test_a_csv_keeps_amounts_as_numbers_and_reasons_inert() -> None:
    text = to_csv(statement((5_000, '=HYPERLINK("x")'), (-1_234, "a, b"))).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["amount"] for row in rows] == ["50.00", "-12.34"]
    assert [row["reason"] for row in rows] == ['\'=HYPERLINK("x")', "a, b"]
    assert text.count("\r\n") == 3


def test_a_long_statement_with_a_name_in_any_script_is_a_pdf_of_pages() -> None:
    long = statement(*((100, "") for _ in range(200)), shop_name="小さな店 Ção")
    pdf = to_pdf(long)
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Type /Page\n") > 3
    assert to_pdf(long) == pdf
