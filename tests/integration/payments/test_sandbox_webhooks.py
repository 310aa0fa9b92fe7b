"""The sandbox's deliveries, seen by somebody else's endpoint: signed, in time, and until they are acknowledged."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from feira.platform.gateways.payments.sandbox.server import build_sandbox_app
from feira.platform.gateways.payments.sandbox.signature import api_key, verify
from feira.platform.gateways.payments.sandbox.wire import SIGNATURE_HEADER
from tests.integration.orders.stage import eventually

SECRET = "whsec_of_a_test"


@dataclass
class Merchant:
    """Somebody who integrated the sandbox. `answers` are given to the next deliveries, then 204."""

    session: aiohttp.ClientSession
    answers: list[int] = field(default_factory=list[int])
    deliveries: list[tuple[float, dict[str, Any]]] = field(
        default_factory=list[tuple[float, dict[str, Any]]]
    )
    url: str = ""

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        verify(request.headers[SIGNATURE_HEADER], body, secret=SECRET, now=time.time())
        self.deliveries.append((time.monotonic(), msgspec.json.decode(body)))
        status = self.answers.pop(0) if self.answers else 204
        if status == 0 and request.transport is not None:
            request.transport.abort()
        return web.Response(status=status or 500)

    async def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {api_key(SECRET)}"}
        async with self.session.post(
            f"{self.url}/sandbox/v1{path}", json=body, headers=headers
        ) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def pay(self, **options: int) -> str:
        intent = await self.call(
            "/payment_intents",
            {"amount_minor": 100, "currency": "EUR", "return_url": "https://x.example"},
        )
        await self.call(
            f"/payment_intents/{intent['id']}/confirm", {"card": "4242424242424242", **options}
        )
        return intent["id"]

    async def until_delivered(self, times: int, *, within_s: float = 10) -> None:
        async def enough() -> bool:
            return len(self.deliveries) >= times

        await eventually(enough, within_s=within_s)


@asynccontextmanager
async def open_merchant(dsn: str, *, processes: int = 1) -> AsyncGenerator[Merchant]:
    """Several processes of the company may share its books."""
    async with aiohttp.ClientSession() as session, AsyncExitStack() as stack:
        merchant = Merchant(session=session)
        for _ in range(processes):
            app = web.Application()
            app.router.add_post("/hook", merchant.receive)
            app.add_subapp(
                "/sandbox",
                build_sandbox_app(
                    dsn,
                    webhook_secret=SECRET,
                    webhook_url=lambda: f"{merchant.url}/hook",
                    public_url=lambda: f"{merchant.url}/sandbox",
                ),
            )
            runner = web.AppRunner(app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            merchant.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield merchant


@pytest.fixture
async def merchant(fresh_database_dsn: str) -> AsyncIterator[Merchant]:
    async with open_merchant(fresh_database_dsn) as opened:
        yield opened


async def test_a_delivery_is_repeated_until_it_is_acknowledged(merchant: Merchant) -> None:
    merchant.answers = [500, 0, 302]
    intent = await merchant.pay()
    await merchant.until_delivered(4)
    events = [event for _, event in merchant.deliveries]
    assert events[0]["object"] == intent
    assert events[0]["type"] == "payment_intent.succeeded"
    assert all(event == events[0] for event in events)
    first, second, third, fourth = [at for at, _ in merchant.deliveries]
    assert second - first < third - second < fourth - third, "waits grow"


async def test_what_was_acknowledged_is_not_delivered_again(merchant: Merchant) -> None:
    first = await merchant.pay()
    await merchant.until_delivered(1)
    second = await merchant.pay()
    await merchant.until_delivered(2)
    assert [event["object"] for _, event in merchant.deliveries] == [first, second]


async def test_news_comes_twice_and_late_on_request(merchant: Merchant) -> None:
    started = time.monotonic()
    await merchant.pay(duplicates=2, webhook_delay_s=1)
    await merchant.until_delivered(3)
    assert all(at - started >= 1 for at, _ in merchant.deliveries)
    assert len({event["id"] for _, event in merchant.deliveries}) == 1


async def test_processes_share_the_deliveries_without_doubling_any(fresh_database_dsn: str) -> None:
    async with open_merchant(fresh_database_dsn, processes=2) as merchant:
        intents = [await merchant.pay() for _ in range(20)]
        await merchant.until_delivered(20)
        told = [event["object"] for _, event in merchant.deliveries]
        assert sorted(told) == sorted(intents)


async def test_a_new_process_delivers_what_another_left_behind(fresh_database_dsn: str) -> None:
    async with open_merchant(fresh_database_dsn) as merchant:
        merchant.answers = [500] * 100
        intent = await merchant.pay()
        await merchant.until_delivered(1)
    async with open_merchant(fresh_database_dsn) as successor:
        await successor.until_delivered(1)
        assert successor.deliveries[0][1]["object"] == intent
