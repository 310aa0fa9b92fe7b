"""docs/orders.md shows the machine that there is. `FEIRA_REWRITE_DOCS=1` and this test bring it up to date."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from feira.platform.domain.order_diagram import draw

DOC: Final = Path(__file__).parents[3] / "docs" / "orders.md"
BEGIN: Final = "<!-- drawn by feira/platform/domain/order_diagram.py: begin -->\n"
END: Final = "<!-- end -->\n"


def test_the_documentation_draws_the_machine_that_there_is() -> None:
    text = DOC.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, "the document has a place for the drawing"
    assert end, "the drawing ends"
    drawn = before + BEGIN + draw() + END + after
    if os.environ.get("FEIRA_REWRITE_DOCS") == "1":
        DOC.write_text(drawn, encoding="utf-8")
        text = drawn
    assert text == drawn, "run this test with FEIRA_REWRITE_DOCS=1"
