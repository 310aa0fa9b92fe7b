"""Two people in two browsers: they talk, trade, and see everything move without a reload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from feira.app import RunningNode, open_node, work
from feira.commands.seed import seed, write_demo_logins
from feira.platform.runtime.config import Config
from tests.browser.webdriver import Browser, browsers, chromium
from tests.integration.conftest import free_port

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.skipif(chromium() is not None, reason=f"no browser: {chromium()}"),
]


@pytest.fixture
async def market(
    config: Config, fresh_database_dsn: str, tmp_path: Path
) -> AsyncIterator[RunningNode]:
    """A seeded market of one node and one worker."""
    port = free_port()
    config = msgspec.structs.replace(
        config,
        postgres_dsn=fresh_database_dsn,
        port=port,
        public_url=f"http://127.0.0.1:{port}",
        mail_dir=tmp_path / "mail",
    )
    await seed(config)
    write_demo_logins(tmp_path / "demo.json")
    stop = asyncio.Event()
    async with open_node(config) as node:
        worker = asyncio.create_task(
            work(msgspec.structs.replace(config, node_name="worker"), stop)
        )
        yield node
        stop.set()
        await worker


async def sign_in(browser: Browser, origin: str, name: str) -> None:
    await browser.go(f"{origin}/sign-in")
    await browser.click(".demos button", text=name)
    await browser.sees("Good things", "body")


async def change_what_was_said(buyer: Browser, seller: Browser) -> None:
    """React, reply, edit, delete and search in an open thread."""
    await buyer.click(".message.theirs .more")
    await buyer.click("dialog .emoji", text="🙏")
    await seller.sees("🙏", ".message.mine .reactions")
    await seller.click(".message.theirs .more")
    await seller.click("dialog button", text="Reply")
    await seller.sees("Reply to Inês", ".about")
    await seller.type(".composer .input", "Four of tham, that is.")
    await seller.click(".composer button[aria-label=Send]")
    await buyer.sees("Bom dia!", ".message.theirs .quote")
    await seller.click(".message.mine:last-child .more")
    await seller.click("dialog button", text="Edit")
    await seller.type(".composer .input", " Or six.")
    await seller.click(".composer button[aria-label=Send]")
    await buyer.sees("Or six.", ".messages")
    await buyer.sees("edited", ".message.theirs:last-child")
    await seller.click(".message.mine:last-child .more")
    await seller.click("dialog button", text="Delete for everybody")
    await buyer.sees("This message was deleted", ".message.theirs:last-child")
    await buyer.click("button[aria-label='Find in this conversation']")
    await buyer.type("dialog input[type=search]", "alike")
    await buyer.click("dialog button", text="Find")
    await buyer.click("dialog .hit")
    await buyer.sees("No two alike", ".sought")


async def use_a_code(buyer: Browser) -> None:
    """At the checkout: ways of sending, the tax, and what a code takes off."""
    await buyer.sees("sends by", ".aside")
    await buyer.sees("Tax inside", ".aside")
    await buyer.type(".aside input[name=code]", "obrigado")
    await buyer.click(".aside button", text="Use code")
    await buyer.sees("A tenth off (OBRIGADO)", ".aside .sums")


async def test_a_buyer_and_a_seller_trade_live(market: RunningNode) -> None:
    origin = f"http://127.0.0.1:{market.port}"
    async with browsers(2) as (buyer, seller):
        await sign_in(buyer, origin, "Inês")
        await sign_in(seller, origin, "Rosa")
        await seller.go(f"{origin}/chat")
        await seller.sees("Chat", "body")

        await buyer.go(f"{origin}/?q=espresso")
        await buyer.click(".product-card", text="espresso")
        await buyer.click("button", text="Ask")
        await buyer.type(".composer .input", "Bom dia! Are these still available?")
        await buyer.click(".composer button[aria-label=Send]")

        await seller.sees("Are these still available?", "body")
        await seller.click(".conversation")
        await seller.type(".composer .input", "They are. No two alike.")
        await seller.click(".composer button[aria-label=Send]")
        await buyer.sees("They are. No two alike.", "body")
        await seller.sees("Here now", ".thread-head")

        await change_what_was_said(buyer, seller)

        await buyer.go(f"{origin}/?q=espresso")
        # The browser keeps the page that was left for its back button; its socket must not stay.
        await seller.sees("Away", ".thread-head")
        await buyer.click(".product-card", text="espresso")
        await buyer.click("button", text="Add to cart")
        await buyer.sees("Added", "body")
        await seller.go(f"{origin}/selling/orders")
        await seller.sees("Olaria da Rosa")
        await buyer.go(f"{origin}/cart")
        await buyer.click(".aside a.button", text="Check out")
        await use_a_code(buyer)
        await buyer.click("button", text="Order and pay")
        await buyer.click("button.pay")
        await buyer.sees("Thank you!", "body")

        # The seller's page was open all the time: the order comes by itself.
        await seller.sees("Paid")
        await seller.click(".order-row")
        await buyer.go(f"{origin}/orders")
        await buyer.click(".order-row")
        await buyer.sees("What happened")
        await buyer.sees("A tenth off (OBRIGADO)", ".sums")
        await seller.click("button", text="Accept")
        await buyer.sees("Accepted by the stall")
        await seller.click("button", text="Mark as shipped")
        await seller.type("dialog input[name=carrier]", "CTT")
        await seller.type("dialog input[name=tracking_number]", "RR123456789PT")
        await seller.click("dialog button[value=go]")
        await buyer.sees("RR123456789PT")
        await buyer.click("button", text="It arrived")
        await seller.sees("Delivered")

        assert [*await buyer.errors(), *await seller.errors()] == []


async def test_coming_back_from_the_payment_page_shows_the_checkout_as_it_is_by_then(
    market: RunningNode,
) -> None:
    origin = f"http://127.0.0.1:{market.port}"
    async with browsers(1) as (buyer,):
        await sign_in(buyer, origin, "Inês")
        await buyer.go(f"{origin}/?q=espresso")
        await buyer.click(".product-card", text="espresso")
        await buyer.click("button", text="Add to cart")
        await buyer.sees("Added", "body")
        await buyer.go(f"{origin}/checkout")
        await buyer.click("button", text="Order and pay")
        await buyer.sees("Sandbox", "body")
        await buyer.back()
        # Not the form that was left: that would order a second time, or seem to.
        await buyer.sees("Your things are held")
        await buyer.click("a.button", text="Pay")
        await buyer.click("button.pay")
        await buyer.sees("Thank you!", "body")


async def test_a_buyer_and_a_seller_come_to_terms_in_their_thread(market: RunningNode) -> None:
    origin = f"http://127.0.0.1:{market.port}"
    async with browsers(2) as (buyer, seller):
        await sign_in(buyer, origin, "Inês")
        await sign_in(seller, origin, "Rosa")
        await buyer.go(f"{origin}/?q=espresso")
        await buyer.click(".product-card", text="espresso")
        await buyer.click("button", text="Ask")
        await buyer.type(".composer .input", "Would you take less?")
        await buyer.click(".composer button[aria-label=Send]")
        await seller.go(f"{origin}/chat")
        await seller.click(".conversation", text="Inês")

        await buyer.click(".composer button[aria-label='Make an offer']")
        await buyer.sees("What would you pay?", "dialog")
        await buyer.click("dialog button[value=go]")
        await buyer.sees("Take it back", ".offer")
        await seller.sees("Accept", ".offer")
        await seller.click(".offer button", text="Counter")
        await seller.type("dialog input[name=quantity]", "2")
        await seller.click("dialog button[value=go]")
        await buyer.sees("Counter-offer", ".messages")
        # A 1 stood in the field before the 2: twelve at 38.00.
        await buyer.sees("456.00", ".messages")
        await buyer.sees("Answered with another", ".messages")
        await buyer.click(".offer button", text="Decline")
        await seller.sees("declined the offer", ".messages")

        await seller.click(".composer button[aria-label='Make an offer']")
        await seller.sees("What would you take?", "dialog")
        await seller.click("dialog button[value=go]")
        await buyer.click(".offer button", text="Accept")
        # A new offer: where it goes is asked, and then it is to be paid.
        await buyer.click("dialog button[value=go]")
        await buyer.click(".payment a.button", text="Pay")
        await buyer.click("button.pay")
        await buyer.sees("Thank you!", "body")
        await seller.sees("accepted the offer", ".messages")
        await seller.click(".offer a", text="The order")
        await seller.sees("Paid")
        await buyer.go(f"{origin}/notifications")
        await buyer.sees("answers with", "body")
        assert [*await buyer.errors(), *await seller.errors()] == []
