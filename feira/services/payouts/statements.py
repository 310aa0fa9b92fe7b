"""A payout's statement: what it is made of, as PDF for people and CSV for spreadsheets. The same payout, the same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec
from fpdf import FPDF
from fpdf.enums import XPos, YPos

from feira.platform.domain.ids import PayoutId
from feira.platform.domain.money import format_money
from feira.platform.domain.permissions import Principal
from feira.services.payouts.rows import SQL
from feira.services.payouts.views import PayoutLine, PayoutView, read_payout
from feira.sql.loader import Connection, fetch_all

StatementFormat = Literal["pdf", "csv"]
LINES_MAX: Final = 20_000
# A spreadsheet takes text that begins so for a formula.
_FORMULA_SIGNS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
_WIDTHS: Final = (38, 62, 28, 52)
_ALIGNS: Final = ("L", "L", "R", "R")
_CAUSES: Final = {
    "cleared": "Sale",
    "refund_requested": "Refund",
    "refund_failed": "Refund that failed",
    "chargeback_opened": "Chargeback",
    "chargeback_won": "Chargeback won",
    "chargeback_reinstated": "Chargeback given back",
    "payout_given_up": "Payout that came back",
    "receivable_netted": "What was owed",
    "adjusted": "Correction",
}


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a statement says."""

    payout: PayoutView
    shop_name: str
    lines: list[PayoutLine]


async def read_statement(con: Connection, principal: Principal, payout_id: PayoutId) -> Statement:
    """Read a payout with all its lines.

    Raises:
        NotFound: `payout.not_found`.
    """
    payout = await read_payout(con, principal, payout_id)
    lines = await fetch_all(con, SQL["list_lines"], PayoutLine, payout_id, 0, LINES_MAX)
    carried_minor = payout.carried_in_minor - payout.carried_out_minor
    assert len(lines) == LINES_MAX or (
        sum(line.amount_minor for line in lines) + carried_minor == payout.amount_minor
    ), "a payout's lines add up to it"
    shop_name = await con.fetchval(SQL["read_shop_name"], payout.shop_id)
    return Statement(payout=payout, shop_name=shop_name, lines=lines)


def to_csv(statement: Statement) -> bytes:
    """One line for each movement, amounts in minor units and as people write them; UTF-8 with CRLF (RFC 4180)."""
    payout = statement.payout
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(
        ("payout", "at", "cause", "order_number", "amount_minor", "amount", "currency", "reason")
    )
    for line in statement.lines:
        writer.writerow(
            (
                payout.id,
                _instant(line.at),
                line.cause,
                line.order_number or "",
                line.amount_minor,
                format_money(line.amount_minor, payout.currency).split()[0],
                payout.currency,
                inert(line.reason),
            )
        )
    return text.getvalue().encode()


def to_pdf(statement: Statement) -> bytes:
    """Pages of A4. Runs for a while: call it in a thread."""
    payout = statement.payout
    pdf = _Pages(format="A4")
    pdf.set_creation_date(payout.created_at)
    pdf.set_title(f"Payout {payout.id}")
    pdf.set_auto_page_break(auto=True, margin=18)
    pdf.alias_nb_pages()
    pdf.add_page()
    pdf.set_font("Helvetica", "B", 16)
    pdf.cell(0, 10, "Payout statement", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.set_font("Helvetica", "", 10)
    for name, value in (
        ("Shop", statement.shop_name),
        ("Payout", str(payout.id)),
        ("Made", _instant(payout.created_at)),
        ("State", payout.state),
        ("Amount", format_money(payout.amount_minor, payout.currency)),
    ):
        pdf.cell(28, 6, name)
        pdf.cell(0, 6, _printable(value), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.ln(4)
    _row(pdf, ("Date (UTC)", "What", "Order", "Amount"), bold=True)
    for line in statement.lines:
        _row(
            pdf,
            (
                f"{line.at:%Y-%m-%d %H:%M}",
                _CAUSES.get(line.cause, line.cause),
                "" if line.order_number is None else str(line.order_number),
                format_money(line.amount_minor, payout.currency),
            ),
        )
    for what, carried_minor in (
        ("Left by the payout before", payout.carried_in_minor),
        ("Left for the next payout", -payout.carried_out_minor),
    ):
        if carried_minor:
            _row(pdf, ("", what, "", format_money(carried_minor, payout.currency)))
    _row(pdf, ("", "Total", "", format_money(payout.amount_minor, payout.currency)), bold=True)
    return bytes(pdf.output())


def inert(text: str) -> str:
    """Text that no spreadsheet runs."""
    return f"'{text}" if text.startswith(_FORMULA_SIGNS) else text


class _Pages(FPDF):
    def footer(self) -> None:
        self.set_y(-14)
        self.set_font("Helvetica", "", 8)
        self.cell(0, 8, f"{self.page_no()} / {{nb}}", align="C")


def _row(pdf: FPDF, cells: Sequence[str], *, bold: bool = False) -> None:
    pdf.set_font("Helvetica", "B" if bold else "", 9)
    for text, width, align in zip(cells, _WIDTHS, _ALIGNS, strict=True):
        pdf.cell(width, 6, _printable(text), border="B", align=align)
    pdf.ln(6)


def _printable(text: str) -> str:
    # The fonts that every reader has know Latin alone.
    return text.encode("latin-1", "replace").decode("latin-1")


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
