"""What a request tells about the machine it came from."""

from __future__ import annotations

import ipaddress

from aiohttp import web


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
