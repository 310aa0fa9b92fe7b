"""Images as strangers may have them: decoded within limits, turned upright, without metadata, and small ones of them.

A photo's metadata tells where its maker lives. What is written here has none: it is drawn anew from the pixels.
"""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
from PIL import Image, ImageOps

from feira.platform.domain.images import ImageType

PIXELS_MAX: Final = 64_000_000
PICTURE_SIDE_MAX: Final = 2_560
THUMBNAIL_SIDE_MAX: Final = 480

_FORMATS: Final[dict[ImageType, str]] = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
}
_OPTIONS: Final[dict[str, dict[str, int]]] = {
    "JPEG": {"quality": 87},
    "PNG": {},
    "WEBP": {"quality": 85, "method": 3},
    "AVIF": {"quality": 70, "speed": 8},
}
# One at a time, so that a process never holds more than one large image.
_painter: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pictures")


class BadImage(Exception):
    """The bytes cannot be decoded within the limits; the message is a sentence that says why."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """An image of the same type at its size in pixels, and its thumbnail as WebP."""

    content: bytes
    width: int
    height: int
    thumbnail: bytes


async def draw(content: bytes, content_type: ImageType) -> Picture:
    """Draw an image anew, off the event loop.

    Raises:
        BadImage: damaged, of another type, or with too many pixels.
    """
    return await asyncio.get_running_loop().run_in_executor(
        _painter, _draw, content, _FORMATS[content_type]
    )


def _draw(content: bytes, kind: str) -> Picture:
    try:
        # No other decoder than this type's; nothing but the header is read yet.
        with Image.open(io.BytesIO(content), formats=[kind]) as opened:
            width, height = opened.size
            if width * height > PIXELS_MAX:
                raise BadImage(f"The image has more than {PIXELS_MAX // 10**6} million pixels.")
            if kind == "JPEG":
                # Decoded at a half, a quarter or an eighth where that is enough: a fraction of time and memory.
                opened.draft(None, (PICTURE_SIDE_MAX, PICTURE_SIDE_MAX))
            picture = ImageOps.exif_transpose(opened)
            picture = picture.convert(_mode(picture, kind))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(f"The image has more than {PIXELS_MAX // 10**6} million pixels.") from error
    # Damaged files raise whatever the decoder stumbles over.
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError) as error:
        raise BadImage("The image is damaged and cannot be shown.") from error
    picture.thumbnail((PICTURE_SIDE_MAX, PICTURE_SIDE_MAX))
    width, height = picture.size
    written = _write(picture, kind)
    picture.thumbnail((THUMBNAIL_SIDE_MAX, THUMBNAIL_SIDE_MAX))
    return Picture(content=written, width=width, height=height, thumbnail=_write(picture, "WEBP"))


def _mode(picture: Image.Image, kind: str) -> str:
    return "RGBA" if kind != "JPEG" and picture.has_transparency_data else "RGB"


def _write(picture: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    # What the decoder found beside the pixels would otherwise be written along.
    picture.info.clear()
    picture.save(out, kind, **_OPTIONS[kind])
    return out.getvalue()
