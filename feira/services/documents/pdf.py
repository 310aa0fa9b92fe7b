"""PDF pages that look the same everywhere: the same document gives the same bytes.

The bundled letters write Latin, Greek, Cyrillic, Armenian, Hebrew and Georgian; others show as a box.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources
from typing import Final

from fpdf import FPDF

_FONTS: Final = (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf"))
FONT: Final = "DejaVu"
_MARGIN_MM: Final = 18


class Document(FPDF):
    """A4 with a footer: what it is, and `page of pages`."""

    def __init__(self, title: str, *, at: datetime) -> None:
        super().__init__(format="A4")
        self._title = title
        # Times and names of the software would make two copies differ.
        self.set_creation_date(at.astimezone(UTC).replace(microsecond=0))
        self.set_producer("Feira")
        self.set_title(title)
        for style, file in _FONTS:
            with resources.as_file(
                resources.files("feira.services.documents") / "fonts" / file
            ) as path:
                self.add_font(FONT, style, path)
        self.set_margins(_MARGIN_MM, _MARGIN_MM)
        self.set_auto_page_break(True, margin=_MARGIN_MM + 6)
        self.alias_nb_pages()
        self.add_page()
        self.write_in()

    def write_in(self, size: float = 9, *, bold: bool = False, grey: bool = False) -> None:
        """Choose the letters of what follows."""
        self.set_font(FONT, "B" if bold else "", size)
        self.set_text_color(110 if grey else 20)

    def footer(self) -> None:
        self.set_y(-_MARGIN_MM)
        self.write_in(7, grey=True)
        self.cell(0, 5, self._title, align="L")
        self.set_x(_MARGIN_MM)
        self.cell(0, 5, f"{self.page_no()} / {{nb}}", align="R")

    def finish(self) -> bytes:
        return bytes(self.output())
