"""The hosted payment page: one plain form, no script. Knowing a payment's address is what it takes to see and pay it."""

from __future__ import annotations

import re
from html import escape
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from feira.platform.domain.money import MINOR_DIGITS, format_money
from feira.platform.gateways.payments.sandbox import intents
from feira.platform.gateways.payments.sandbox.books import ApiError
from feira.platform.gateways.payments.sandbox.cards import CARDS, GOOD_CARD
from feira.platform.gateways.payments.sandbox.company import COMPANY
from feira.platform.gateways.payments.sandbox.intents import StoredIntent
from feira.platform.gateways.payments.sandbox.requests import ConfirmIntent

_DELAY_S_MAX: Final = 24 * 3600

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --go: #0a7d4f; --stop: #b3261e; }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  font: 16px/1.5 system-ui, sans-serif; background: Canvas; color: CanvasText; }
main { width: min(30rem, 100%); border: 1px solid var(--line); border-radius: 14px; overflow: hidden; }
header { padding: 1.25rem 1.5rem; background: var(--soft); border-bottom: 1px solid var(--line); }
header p { margin: 0; opacity: .75; }
h1 { margin: .25rem 0 0; font-size: 2rem; font-variant-numeric: tabular-nums; }
form, .end { display: grid; gap: .75rem; padding: 1.25rem 1.5rem 1.5rem; }
fieldset { display: flex; gap: .5rem; border: 0; margin: 0; padding: 0; flex-wrap: wrap; }
label { flex-basis: 100%; font-size: .875rem; opacity: .8; }
select, input { flex: 1 1 9rem; min-width: 0; }
select, input, button, a.button { font: inherit; padding: .6rem .8rem; border-radius: 9px; border: 1px solid var(--line); }
select, input { background: Field; color: FieldText; }
button, a.button { cursor: pointer; background: var(--soft); color: inherit; text-decoration: none; text-align: center; }
button:focus-visible, a:focus-visible { outline: 3px solid Highlight; outline-offset: 2px; }
.pay { background: var(--go); border-color: var(--go); color: #fff; font-weight: 600; }
.decline { color: var(--stop); border-color: var(--stop); }
.note { margin: 0; padding: .6rem .8rem; border-radius: 9px; background: var(--soft); }
footer { padding: .75rem 1.5rem; border-top: 1px solid var(--line); font-size: .8rem; opacity: .7; overflow-wrap: anywhere; }
"""


async def show_page(request: web.Request) -> web.Response:
    """The buyer's page of a payment."""
    async with request.app[COMPANY].pool.acquire() as con:
        return _page(await intents.read_intent(con, request.match_info["id"]))


async def pay_on_page(request: web.Request) -> web.Response:
    """Do what the buyer chose and send them back to the shop; the page as it is now when it is too late for that."""
    posted = await request.post()
    form = {name: str(value) for name, value in posted.items()}
    company, intent_id = request.app[COMPANY], request.match_info["id"]
    try:
        async with company.pool.acquire() as con, con.transaction():
            if form.get("how") in {"approve", "refuse"}:
                approved = form["how"] == "approve"
                intent = await intents.answer_challenge(con, intent_id, approved=approved)
            else:
                intent = await intents.confirm_intent(con, intent_id, _confirmation(form))
    except ApiError as error:
        if error.status != web.HTTPConflict.status_code:
            raise
        return await show_page(request)
    company.clockwork.ring()
    if intent.state == "requires_action":
        return await show_page(request)
    return web.Response(
        status=303, headers={"Location": intent.return_url, "Cache-Control": "no-store"}
    )


def render_page(intent: StoredIntent) -> str:
    """Return the page of a payment in whatever state it is."""
    amount = _amount(intent)
    if intent.state == "succeeded":
        body = _end(intent, "This is paid. Thank you.")
    elif intent.state == "canceled":
        body = _end(intent, "This payment was cancelled; no money was taken.")
    elif intent.state == "authorized":
        body = _end(intent, "The money is reserved for the shop. Thank you.")
    elif intent.state == "requires_action":
        body = _challenge(intent)
    elif intent.under_way:
        body = _end(intent, "Your bank is still working on this payment.")
    else:
        body = _form(intent, amount)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Pay {amount}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<header><p>Sandbox payments</p><h1>{amount}</h1></header>
{body}
<footer>A test provider: no real money moves. {escape(intent.id)}</footer>
</main>
</body>
</html>
"""


def _confirmation(form: dict[str, str]) -> ConfirmIntent:
    match form.get("how"):
        case "twice":
            return ConfirmIntent(card=GOOD_CARD, duplicates=1)
        case "late":
            given = form.get("delay_s", "")
            delay_s = int(given) if re.fullmatch("[0-9]{1,6}", given) else 0
            return ConfirmIntent(card=GOOD_CARD, delay_s=max(1, min(delay_s, _DELAY_S_MAX)))
        case "special":
            return ConfirmIntent(card=form.get("paying", ""))
        case "decline":
            return ConfirmIntent(card=form.get("declined", ""))
        case _:
            return ConfirmIntent(card=GOOD_CARD)


def _page(intent: StoredIntent) -> web.Response:
    return web.Response(
        text=render_page(intent),
        content_type="text/html",
        headers={
            "Content-Security-Policy": _content_security_policy(intent),
            "Cache-Control": "no-store",
            # The address is all that protects the page.
            "Referrer-Policy": "no-referrer",
        },
    )


def _content_security_policy(intent: StoredIntent) -> str:
    """No script at all. Browsers check where a form's redirect leads as well, hence the shop's origin."""
    shop = urlsplit(intent.return_url)
    return (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none';"
        f" form-action 'self' {shop.scheme}://{shop.netloc}"
    )


def _form(intent: StoredIntent, amount: str) -> str:
    declined = (
        f'<p class="note" role="alert">The last try was declined: {escape(intent.last_decline_code)}.</p>'
        if intent.last_decline_code
        else ""
    )
    return f"""<form method="post">
{declined}
<button class="pay" name="how" value="pay" autofocus>Pay {amount}</button>
<button name="how" value="twice">Pay, and send the news twice</button>
<fieldset>
<label for="delay_s">The bank takes a while (seconds)</label>
<input id="delay_s" name="delay_s" type="number" min="1" max="86400" value="30">
<button name="how" value="late">Pay late</button>
</fieldset>
<fieldset>
<label for="paying">A card with a story</label>
<select id="paying" name="paying">{_options(paying=True)}</select>
<button name="how" value="special">Pay with it</button>
</fieldset>
<fieldset>
<label for="declined">A card that does not work</label>
<select id="declined" name="declined">{_options(paying=False)}</select>
<button class="decline" name="how" value="decline">Try it</button>
</fieldset>
{_back(intent)}
</form>"""


def _challenge(intent: StoredIntent) -> str:
    return f"""<form method="post">
<p class="note" role="status">Your bank asks: is it you who pays?</p>
<button class="pay" name="how" value="approve" autofocus>Yes, pay</button>
<button class="decline" name="how" value="refuse">No, it is not me</button>
{_back(intent)}
</form>"""


def _end(intent: StoredIntent, message: str) -> str:
    return f'<div class="end"><p class="note" role="status">{message}</p>{_back(intent)}</div>'


def _back(intent: StoredIntent) -> str:
    return f'<a class="button" href="{escape(intent.return_url)}">Back to the shop</a>'


def _options(*, paying: bool) -> str:
    return "".join(
        f'<option value="{card.number}">{escape(card.meaning)} ({card.number[-4:]})</option>'
        for card in CARDS.values()
        if (not card.decline_code) == paying and card.number != GOOD_CARD
    )


def _amount(intent: StoredIntent) -> str:
    if intent.currency in MINOR_DIGITS:
        return escape(format_money(intent.amount_minor, intent.currency))
    return escape(f"{intent.amount_minor} minor units of {intent.currency}")
