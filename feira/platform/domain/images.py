"""Which image formats products may have, and how to tell them by their first bytes."""

from __future__ import annotations

from typing import Final, Literal, get_args

ImageType = Literal["image/jpeg", "image/png", "image/webp", "image/avif"]

IMAGE_TYPES: Final[tuple[ImageType, ...]] = get_args(ImageType)
IMAGE_BYTES_MAX: Final = 8 * 1024 * 1024
EXTENSIONS: Final[dict[ImageType, str]] = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/avif": "avif",
}

# ISO/IEC 23000-22 (MIAF) and the AVIF specification: still images and sequences.
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_FTYP_BYTES_MAX: Final = 256


def sniff_image(content: bytes) -> ImageType | None:
    """Return the format that the content's signature speaks of, whatever it was announced as."""
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image/webp"
    if content[4:8] == b"ftyp" and _AVIF_BRANDS & _brands(content):
        return "image/avif"
    return None


def check_image(content: bytes, announced: str) -> str | None:
    """Return why the content is not the image that was announced; None when it is."""
    if len(content) > IMAGE_BYTES_MAX:
        return f"The file is over {IMAGE_BYTES_MAX:,} bytes."
    actual = sniff_image(content)
    if actual is None:
        return "The file is not an image that browsers show."
    if actual != announced:
        return f"The file is {actual}, though it was announced as {announced}."
    return None


def _brands(content: bytes) -> set[bytes]:
    """The major and compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3)."""
    size = min(int.from_bytes(content[:4], "big"), _FTYP_BYTES_MAX, len(content))
    # The minor version stands between the major brand and the compatible ones.
    return {content[at : at + 4] for at in range(8, size - 3, 4) if at != 12}  # noqa: PLR2004
