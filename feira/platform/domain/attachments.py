"""What may be attached to a message, and how to tell it by its first bytes."""

from __future__ import annotations

from typing import Annotated, Final, Literal, cast

import msgspec
from msgspec import Meta

from feira.platform.domain.ids import AttachmentId
from feira.platform.domain.images import IMAGE_TYPES, ImageType, sniff_image

AttachmentType = Literal[ImageType, "application/pdf"]

ATTACHMENTS_MAX: Final = 10
"""In one message."""
IMAGE_BYTES_MAX: Final = 12 * 1024 * 1024
FILE_BYTES_MAX: Final = 25 * 1024 * 1024
SNIFF_BYTES: Final = 1024
"""The beginning of a file that tells its type."""

# No control characters, no slashes, and none that turn the direction of writing, so that "gpj.exe" cannot read "exe.jpg".
FileName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=120,
        pattern=r"^[^\x00-\x1f\x7f/\\\u200e\u200f\u202a-\u202e\u2066-\u2069]+(?![\s\S])",
    ),
]


class AttachedFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says of a file that came with it; where to read it is asked for by `id`."""

    id: AttachmentId
    name: str
    content_type: AttachmentType
    size_bytes: int


def is_image(content_type: AttachmentType) -> bool:
    return content_type in IMAGE_TYPES


def bytes_max(content_type: AttachmentType) -> int:
    return IMAGE_BYTES_MAX if is_image(content_type) else FILE_BYTES_MAX


def sniff(start: bytes) -> AttachmentType | None:
    """Return the type that a file's first `SNIFF_BYTES` speak of, whatever it was announced as."""
    # ISO 32000-1, 7.5.2: the header is the first line. Readers forgive rubbish before it; we need not.
    if start.startswith(b"%PDF-"):
        return "application/pdf"
    return cast("AttachmentType | None", sniff_image(start))


def why_not(
    start: bytes, *, announced: AttachmentType, size_bytes: int, announced_bytes: int
) -> str | None:
    """Return why a file is not the one that was announced; None when it is."""
    if size_bytes != announced_bytes:
        return f"The file has {size_bytes:,} bytes, though {announced_bytes:,} were announced."
    actual = sniff(start)
    if actual is None:
        return "The file is neither an image that browsers show nor a PDF."
    if actual != announced:
        return f"The file is {actual}, though it was announced as {announced}."
    return None
