"""Which addresses may be receivers of webhooks, as far as their spelling says. Where a name leads is looked at on each
connection: `platform/gateways/webhooks/addresses.py`.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from feira.platform.domain.errors import InvalidInput

URL_CHARS_MAX: Final = 2000
PORTS: Final = frozenset({443, 8443})
_HOST_CHARS_MAX: Final = 253
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Begins with a letter: readers of URLs take a host that ends in a number, in any base, for an IPv4 address.
_LAST_LABEL: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
# Names that are somebody's own network (RFC 6761, RFC 6762, RFC 8375, and what routers and clouds made of the idea).
_PRIVATE_NAMES: Final = frozenset(
    {"localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "arpa"}
)
_LABELS_MIN: Final = 2


def receiver_url(text: str, *, to_loopback: bool) -> str:
    """Return a receiver's URL in one spelling: lower-case host, no default port, a path.

    `to_loopback` lets receivers on this machine pass, also without TLS and on any port: for development.

    Raises:
        InvalidInput: `webhook.bad_url`.
    """
    if len(text) > URL_CHARS_MAX:
        raise _bad(f"has at most {URL_CHARS_MAX} characters")
    if not text.isascii():
        raise _bad(
            "is ASCII: write an international name in its xn-- form, and percent-encode the rest"
        )
    if any(character <= " " or character in "\\\x7f" for character in text):
        raise _bad("has no spaces, control characters or backslashes")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _bad("is a URL such as https://example.com/webhooks") from None
    if "#" in text:
        raise _bad("has no fragment")
    if "@" in parts.netloc or "%" in parts.netloc:
        raise _bad("has no user name, no password and no escapes before its path")
    host = parts.hostname or ""
    if to_loopback and _is_loopback(host):
        if parts.scheme not in {"http", "https"} or port == 0:
            raise _bad("begins with http:// or https://")
        return _spelled(parts, host, port)
    if parts.scheme != "https":
        raise _bad("begins with https://")
    _check_name(host)
    if port not in PORTS | {None}:
        raise _bad("is served on port 443 or 8443")
    return _spelled(parts, host, port)


def _check_name(host: str) -> None:
    labels = host.split(".")
    *firsts, last = labels
    is_name = (
        len(host) <= _HOST_CHARS_MAX
        and len(labels) >= _LABELS_MIN
        and all(_LABEL.fullmatch(label) for label in firsts)
        and _LAST_LABEL.fullmatch(last)
    )
    if not is_name:
        raise _bad("names a host by its full domain name, not by an address")
    if last in _PRIVATE_NAMES:
        raise _bad("names a host of the public Internet")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _spelled(parts: SplitResult, host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    default = 443 if parts.scheme == "https" else 80
    place = shown if port in {None, default} else f"{shown}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{place}{parts.path or '/'}{query}"


def _bad(rule: str) -> InvalidInput:
    return InvalidInput("webhook.bad_url", f"A receiver's URL {rule}.", field="$.url")
