"""Request bodies: within the limit, JSON where JSON is asked for, UTF-8."""

from __future__ import annotations

from typing import ClassVar, Final

from aiohttp import web

from feira.platform.domain.errors import FeiraError, InvalidInput, TooLarge

_JSON_TYPES: Final = frozenset({"application/json", "application/merge-patch+json"})
_UTF8: Final = frozenset({"utf-8", "utf8", "us-ascii"})


class UnsupportedMedia(FeiraError):
    """The body is of a type that this address does not take; only HTTP knows such a thing."""

    status: ClassVar[int] = 415


async def read_body(request: web.Request, *, bytes_max: int, as_json: bool) -> bytes:
    """Read the whole body; empty where there is none.

    Raises:
        UnsupportedMedia: `request.not_json`.
        TooLarge: `request.too_large`.
        InvalidInput: `request.not_utf8`, `request.malformed_body`.
    """
    if not request.body_exists:
        return b""
    if as_json:
        _require_json(request)
    if request.content_length is not None and request.content_length > bytes_max:
        raise _too_large(bytes_max)
    try:
        # Counts what comes, so a chunked or compressed body stops at the same limit.
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise _too_large(bytes_max) from error
    except web.RequestPayloadError as error:
        raise InvalidInput(
            "request.malformed_body",
            "The body is not what its Content-Encoding or chunks say it is.",
        ) from error


def _too_large(bytes_max: int) -> TooLarge:
    return TooLarge("request.too_large", f"The body is over the limit of {bytes_max:,} bytes.")


def _require_json(request: web.Request) -> None:
    if "Content-Type" not in request.headers or request.content_type not in _JSON_TYPES:
        raise UnsupportedMedia(
            "request.not_json",
            "Send the body as JSON, with Content-Type: application/json.",
            field="Content-Type",
        )
    if (request.charset or "utf-8").lower() not in _UTF8:
        raise InvalidInput(
            "request.not_utf8", "JSON is UTF-8 (RFC 8259, 8.1).", field="Content-Type"
        )
