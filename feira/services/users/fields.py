r"""The kinds of text that people give about themselves, as limits that the edge checks while decoding.

Patterns are written so that Python and ECMAScript (OpenAPI) read them alike: `(?![\s\S])` is the end of the
text, where Python's `$` would let a newline follow. PostgreSQL stores no NUL, and e-mail headers no newline.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

_ONE_LINE = r"^(?![\s\S]*[\x00-\x1f\x7f-\x9f\u2028\u2029])[\s\S]*"
# Something that can be seen, at the start and in one line.
_ONE_LINE_FILLED = r"^(?![\s\S]*[\x00-\x1f\x7f-\x9f\u2028\u2029])\S[\s\S]*"

# As browsers check <input type=email> (HTML, 4.10.5.1.5); RFC 5321, 4.5.3.1.3 gives the length.
Email = Annotated[
    str,
    Meta(
        max_length=254,
        pattern=r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
        r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*(?![\s\S])",
        description="E-mail address; upper and lower case are the same.",
    ),
]
# NIST SP 800-63B, 3.1.1: length is what counts; the upper limit bounds the work of hashing.
NewPassword = Annotated[
    str, Meta(min_length=10, max_length=128, description="10 to 128 characters.")
]
GivenPassword = Annotated[str, Meta(min_length=1, max_length=128)]
DisplayName = Annotated[str, Meta(min_length=1, max_length=80, pattern=_ONE_LINE_FILLED)]
# 256 random bits in URL-safe base64.
Secret = Annotated[str, Meta(min_length=20, max_length=100, pattern=r"^[A-Za-z0-9_-]+(?![\s\S])")]
Line = Annotated[str, Meta(min_length=1, max_length=120, pattern=_ONE_LINE_FILLED)]
OptionalLine = Annotated[str, Meta(max_length=120, pattern=_ONE_LINE)]
PostalCode = Annotated[str, Meta(min_length=1, max_length=16, pattern=_ONE_LINE_FILLED)]
Phone = Annotated[str, Meta(max_length=32, pattern=r"^(?:\+?[0-9][0-9 ()./-]{3,30})?(?![\s\S])")]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}(?![\s\S])", description="ISO 3166-1 alpha-2.")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}(?![\s\S])", description="ISO 4217.")]
Locale = Annotated[
    str, Meta(pattern=r"^[a-z]{2,3}(?:-[A-Z]{2})?(?![\s\S])", description="Such as en or pt-BR.")
]
TimeZone = Annotated[
    str,
    Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+(?![\s\S])", description="IANA."),
]
ShopName = Annotated[str, Meta(min_length=2, max_length=80, pattern=_ONE_LINE_FILLED)]
Slug = Annotated[
    str, Meta(min_length=2, max_length=60, pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*(?![\s\S])")
]
Description = Annotated[str, Meta(max_length=4000, pattern=r"^(?![\s\S]*\x00)[\s\S]*")]
Reason = Annotated[str, Meta(min_length=3, max_length=500, pattern=r"^(?![\s\S]*\x00)\S[\s\S]*")]
OptionalReason = Annotated[str, Meta(max_length=500, pattern=r"^(?![\s\S]*\x00)[\s\S]*")]
# As far as the column counts.
ShipWithinDays = Annotated[int, Meta(ge=1, le=90)]
Version = Annotated[int, Meta(ge=1, le=2**31 - 1)]
PageLimit = Annotated[int, Meta(ge=1, le=100)]
