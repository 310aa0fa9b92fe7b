"""What a request tells about the machine it came from, for edges."""

from __future__ import annotations

import ipaddress
from typing import Final

from aiohttp import web

from feira.platform.domain.audit import USER_AGENT_CHARS_MAX, Origin

REQUEST_ID: Final = web.RequestKey("request_id", str)
"""Names a request in logs, problems, the audit log and the X-Request-ID header."""


def client_address(request: web.Request) -> str | None:
    """Return the peer's address; None on a Unix socket.

    Never from a header that anybody can send: a proxy in front is the server's business, which then sets
    `request.remote`.
    """
    try:
        # Scoped IPv6 addresses (fe80::1%eth0) are the same machine without the scope.
        return str(ipaddress.ip_address((request.remote or "").partition("%")[0]))
    except ValueError:
        return None


def user_agent(request: web.Request) -> str:
    """Return what the program calls itself; bytes that are no text come as question marks."""
    return request.headers.get("User-Agent", "").encode("ascii", "replace").decode("ascii")


def origin_of(request: web.Request) -> Origin:
    """Return what the audit log keeps of where a request came from."""
    return Origin(
        address=client_address(request),
        user_agent=user_agent(request)[:USER_AGENT_CHARS_MAX],
        request_id=request.get(REQUEST_ID, ""),
    )
