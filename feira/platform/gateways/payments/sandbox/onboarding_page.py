"""The hosted onboarding page: a seller tells the company who they are. It is for one visit."""

from __future__ import annotations

from html import escape
from urllib.parse import urlsplit

from aiohttp import web

from feira.platform.gateways.payments.sandbox import accounts
from feira.platform.gateways.payments.sandbox.company import COMPANY
from feira.platform.gateways.payments.sandbox.page import STYLE


async def show_onboarding(request: web.Request) -> web.Response:
    """The page, or the way back to ask for a new link once this one is over."""
    async with request.app[COMPANY].pool.acquire() as con:
        link = await accounts.read_onboarding_link(con, request.match_info["id"])
    if link.over:
        return _go(link.refresh_url)
    back = urlsplit(link.return_url)
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none';"
        f" form-action 'self' {back.scheme}://{back.netloc}"
    )
    return web.Response(
        text=f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Who you are</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<header><p>Sandbox payments</p><h1>{escape(link.account_name)}</h1></header>
<form method="post">
<p class="note">We have to know who owns this shop before we pay it.</p>
<button class="pay" autofocus>This is me</button>
</form>
<footer>A test provider: nobody is asked anything. {escape(link.account_id)}</footer>
</main>
</body>
</html>
""",
        content_type="text/html",
        headers={
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
        },
    )


async def finish_page(request: web.Request) -> web.Response:
    """Take what the seller said, and send them back to the market."""
    company = request.app[COMPANY]
    async with company.pool.acquire() as con, con.transaction():
        link = await accounts.read_onboarding_link(con, request.match_info["id"])
        if link.over:
            return _go(link.refresh_url)
        await accounts.finish_onboarding(con, link)
    company.clockwork.ring()
    return _go(link.return_url)


def _go(url: str) -> web.Response:
    return web.Response(status=303, headers={"Location": url, "Cache-Control": "no-store"})
