"""The browser's refresh token: a cookie that no script reads, no other site sends, and only /v1/auth gets.

RFC 6265bis. The access token stays in the page's memory; after a reload the page trades this cookie for
a new one.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from feira.platform.runtime.config import Config
from feira.services.users.sessions import REFRESH_LIFETIME

COOKIE: Final = "feira_refresh"
NO_STORE: Final[tuple[str, str]] = ("Cache-Control", "no-store")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{20,100}")


def set_cookie(config: Config, token: str) -> tuple[str, str]:
    """Return the header that gives the browser its refresh token."""
    return _header(config, token, int(REFRESH_LIFETIME.total_seconds()))


def clear_cookie(config: Config) -> tuple[str, str]:
    """Return the header that takes it away."""
    return _header(config, "", 0)


def cookie_token(request: web.Request) -> str | None:
    """Return the token that the browser sent; one that cannot be ours is none."""
    token = request.cookies.get(COOKIE, "")
    return token if _TOKEN.fullmatch(token) else None


def _header(config: Config, value: str, age_s: int) -> tuple[str, str]:
    # Over plain HTTP, as on one's own machine, browsers would drop a Secure cookie.
    secure = "; Secure" if config.public_url.startswith("https://") else ""
    return (
        "Set-Cookie",
        f"{COOKIE}={value}; Path=/v1/auth; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}",
    )
