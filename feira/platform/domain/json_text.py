"""What JSON may carry and PostgreSQL's text cannot."""

from __future__ import annotations

import re
from typing import Final

_NUL_ESCAPE: Final = b"\\u0000"
# An even number of backslashes before it are backslashes themselves.
_NUL_ESCAPED: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def holds_nul(raw: bytes) -> bool:
    """Whether a JSON text has the character U+0000 in one of its strings, the one that cannot be stored."""
    return _NUL_ESCAPE in raw and _NUL_ESCAPED.search(raw) is not None
