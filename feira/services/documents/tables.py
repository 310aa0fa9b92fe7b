"""CSV (RFC 4180) that spreadsheets open as text and numbers, never as formulas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

# What spreadsheets take for the beginning of a formula (OWASP, CSV injection), also as wide characters.
_FORMULA: Final = re.compile(r"^\s*[=+\-@|%\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")
_NUMBER: Final = re.compile(r"^-?[0-9]+(?:\.[0-9]+)?$")


def safe_cell(value: object) -> str:
    """A cell's text. What a spreadsheet would compute gets an apostrophe in front; numbers stay numbers."""
    text = "" if value is None else str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text


def write_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A table as UTF-8 with a byte order mark, which spreadsheets need to read it as such, and CRLF."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")
