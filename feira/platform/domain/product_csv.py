"""Product lists as CSV (RFC 4180): text in, rows and complaints out.

    sku,title,description,category,price,currency,stock,options
    VASE-1,Ceramic vase,Hand made,ceramics,19.99,EUR,5,Colour=Blue|Size=M

Cells are text and nothing else: `=1+1` is a title of four characters. Columns may come in any order;
`description`, `currency`, `stock` and `options` may be missing. The delimiter is a comma or a semicolon.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from feira.platform.domain.errors import FeiraError, InvalidInput, TooLarge
from feira.platform.domain.prices import parse_price
from feira.platform.domain.products import (
    DESCRIPTION_CHARS_MAX,
    ON_HAND_MAX,
    SKU_PATTERN,
    TITLE_CHARS_MAX,
    Options,
    clean_title,
)

ROWS_MAX: Final = 1_000
BYTES_MAX: Final = 1024 * 1024
COLUMNS: Final = (
    "sku", "title", "description", "category", "price", "currency", "stock", "options",
)  # fmt: skip
_REQUIRED: Final = ("sku", "title", "category", "price")
_SKU: Final = re.compile(SKU_PATTERN)


class ImportRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is right in itself. `row` is its line for people: the header is row 1."""

    row: int
    sku: str
    title: str
    description: str | None
    category: str
    price_minor: int
    on_hand: int | None
    options: dict[str, str] | None
    """None leaves what is there alone."""


class RowError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a row was left out. `row` counts from the header, which is row 1."""

    row: int
    field: str
    code: str
    message: str


def parse_products(body: bytes, currency: str) -> tuple[list[ImportRow], list[RowError]]:
    """Read a product list whose prices are in `currency`.

    Raises:
        TooLarge: `import.too_many_rows`, `import.too_large`.
        InvalidInput: `import.not_utf8`, `import.malformed`, `import.bad_header`: nothing can be read at all.
    """
    rows: list[ImportRow] = []
    errors: list[RowError] = []
    header, filled = _read_cells(_decode(body))
    for number, cells in filled:
        try:
            rows.append(_parse_row(number, _by_column(header, cells), currency))
        except FeiraError as error:
            errors.append(error_of(number, error))
    return rows, errors


def error_of(row: int, error: FeiraError) -> RowError:
    """The complaint about a row that a rule raised."""
    return RowError(row=row, field=error.field or "", code=error.code, message=error.message)


def _decode(body: bytes) -> str:
    if len(body) > BYTES_MAX:
        raise TooLarge("import.too_large", f"A list has up to {BYTES_MAX:,} bytes; split it.")
    try:
        # Spreadsheets put a byte order mark in front.
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            "import.not_utf8", "The list is not UTF-8; save it as “CSV UTF-8”."
        ) from error
    if "\0" in text:
        raise InvalidInput("import.malformed", "The list has NUL characters; it is not a CSV file.")
    return text


def _read_cells(text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header, and the filled rows with their numbers."""
    first = text.split("\n", 1)[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found: list[tuple[int, list[str]]] = []
    try:
        header = _check_header(next(reader, None) or [])
        for number, cells in enumerate(reader, 2):
            if not any(cell.strip() for cell in cells):
                continue
            if len(found) == ROWS_MAX:
                raise TooLarge(
                    "import.too_many_rows", f"A list has up to {ROWS_MAX:,} rows; split it."
                )
            found.append((number, cells))
    except csv.Error as error:
        raise InvalidInput(
            "import.malformed", f"Line {reader.line_num} is not CSV: {error}."
        ) from error
    return header, found


def _check_header(cells: list[str]) -> list[str]:
    header = [cell.strip().lower() for cell in cells]
    unknown = [name for name in header if name not in COLUMNS]
    missing = [name for name in _REQUIRED if name not in header]
    if unknown or missing or len(set(header)) != len(header):
        raise InvalidInput(
            "import.bad_header",
            f"The first row names the columns: {', '.join(COLUMNS)}, separated by commas or semicolons.",
            details={"unknown": [name[:40] for name in unknown[:8]], "missing": missing},
        )
    return header


def _by_column(header: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(header):
        raise InvalidInput(
            "import.wrong_width",
            "The row has more or fewer cells than the header; put text with delimiters in quotes.",
        )
    return dict(zip(header, (cell.strip() for cell in cells), strict=True))


def _parse_row(number: int, cells: Mapping[str, str], currency: str) -> ImportRow:
    _check_currency(cells.get("currency", ""), currency)
    title = clean_title(cells["title"], field="title")
    if len(title) > TITLE_CHARS_MAX:
        raise _too_long("title", TITLE_CHARS_MAX)
    description = cells.get("description")
    if description is not None and len(description) > DESCRIPTION_CHARS_MAX:
        raise _too_long("description", DESCRIPTION_CHARS_MAX)
    if not cells["category"]:
        raise InvalidInput("import.missing", "Give a category, such as ceramics.", field="category")
    return ImportRow(
        row=number,
        sku=_parse_sku(cells["sku"]),
        title=title,
        description=description,
        category=cells["category"],
        price_minor=parse_price(cells["price"], currency),
        on_hand=_parse_stock(cells.get("stock", "")),
        options=_parse_options(cells["options"]) if "options" in cells else None,
    )


def _too_long(field: str, chars_max: int) -> InvalidInput:
    return InvalidInput("import.too_long", f"It has up to {chars_max:,} characters.", field=field)


def _check_currency(given: str, currency: str) -> None:
    if given and given.upper() != currency:
        raise InvalidInput(
            "import.wrong_currency", f"The shop sells in {currency}.", field="currency"
        )


def _parse_sku(text: str) -> str:
    if not _SKU.fullmatch(text):
        raise InvalidInput(
            "import.bad_sku",
            "A SKU has 1 to 64 letters, digits, dots, dashes, slashes and underscores.",
            field="sku",
        )
    return text


def _parse_stock(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch("[0-9]{1,7}", text) or int(text) > ON_HAND_MAX:
        raise InvalidInput(
            "import.bad_stock", f"Stock is a whole number up to {ON_HAND_MAX:,}.", field="stock"
        )
    return int(text)


def _parse_options(text: str) -> dict[str, str]:
    """`Colour=Blue|Size=M`."""
    options: dict[str, str] = {}
    for part in text.split("|") if text else []:
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or name in options:
            raise _bad_options()
        options[name] = value
    try:
        return msgspec.convert(options, Options)
    except msgspec.ValidationError as error:
        raise _bad_options() from error


def _bad_options() -> InvalidInput:
    return InvalidInput(
        "import.bad_options",
        "Options are written Name=Value, up to three, with | between them: Colour=Blue|Size=M.",
        field="options",
    )
