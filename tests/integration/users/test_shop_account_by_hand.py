"""A provider that opens no accounts for us: the application waits until an operator ties one to the shop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest
from aiohttp import ClientSession, DummyCookieJar

from feira.app import open_node
from feira.commands.doctor import examine
from feira.commands.shop_account import tie
from feira.platform.domain.errors import Conflict, NotFound
from feira.platform.domain.ids import ShopId
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.platform.runtime.config import Config
from tests.contracts.company import open_company
from tests.contracts.folder import contracts_folder
from tests.contracts.razorpay_provider import KEY_ID, KEY_SECRET, RazorpayProvider
from tests.integration.conftest import free_port
from tests.integration.users.stage import Stage


@dataclass(kw_only=True)
class Market:
    stage: Stage
    provider: RazorpayProvider
    config: Config


@pytest.fixture
async def market(config: Config, fresh_database_dsn: str, tmp_path: Path) -> AsyncIterator[Market]:
    provider = RazorpayProvider(contracts_folder())
    port = free_port()
    async with open_company(provider) as company:
        own = msgspec.structs.replace(
            config,
            postgres_dsn=fresh_database_dsn,
            port=port,
            public_url=f"http://127.0.0.1:{port}",
            mail_dir=tmp_path,
            payments="razorpay",
            razorpay_key_id=KEY_ID,
            razorpay_key_secret=KEY_SECRET,
            razorpay_webhook_secret="hook",
            razorpay_api_url=company.url,
        )
        async with open_node(own) as node, ClientSession(cookie_jar=DummyCookieJar()) as http:
            stage = Stage(market=node.market, url=f"http://127.0.0.1:{node.port}", http=http)
            yield Market(stage=stage, provider=provider, config=own)


async def test_an_application_waits_for_an_operator_and_goes_on(market: Market) -> None:
    stage = market.stage
    owner = await stage.person()
    wanted = {"name": "Dukaan", "country": "IN", "currency": "INR"}
    shop = ShopId(UUID((await stage.post("/v1/shops", wanted, owner.access)).body["id"]))

    async def status() -> str:
        return await stage.fetchval("SELECT status::text FROM shops WHERE id = $1", shop)

    await stage.work_off()
    assert await status() == "applied"
    assert await stage.fetchval("SELECT count(*) FROM jobs WHERE state = 'dead'") == 0

    account = market.provider.open_account()
    with pytest.raises(GatewayRefused) as unknown:
        await tie(market.config, shop, "acc_none")
    assert unknown.value.reason == "not_found"
    for _ in range(2):
        assert (await tie(market.config, shop, account)).status == "verified"
    assert await status() == "verified"
    with pytest.raises(Conflict) as other:
        await tie(market.config, shop, market.provider.open_account())
    assert other.value.code == "shop.has_account"
    with pytest.raises(NotFound):
        await tie(market.config, ShopId(uuid4()), account)


async def test_the_doctor_asks_razorpay(market: Market) -> None:
    found = {one.name: one for one in await examine(market.config)}["payments"]
    assert (found.remedy, "/v1/webhooks/razorpay" in found.told) == ("", True)
    wrong = msgspec.structs.replace(market.config, razorpay_key_secret="hunter2")
    found = {one.name: one for one in await examine(wrong)}["payments"]
    assert "razorpay_" in found.remedy
    assert "hunter2" not in repr(found)
