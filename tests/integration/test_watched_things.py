"""What watchers of products, shops and the operators' topic begin with, and what they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import msgspec
import pytest

from feira.actors.operations import EVERY_S
from feira.app import RunningNode, open_node
from feira.platform.domain.ids import ProductId, ShopId
from feira.platform.domain.topics import OPS, product_topic, shop_topic
from feira.platform.runtime.config import Config
from tests.integration.cast import Cast, assemble
from tests.integration.conftest import free_port
from tests.integration.live import Watching, eventually


@pytest.fixture
async def node(config: Config, fresh_database_dsn: str) -> AsyncIterator[RunningNode]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    own = msgspec.structs.replace(
        config, postgres_dsn=fresh_database_dsn, port=port, public_url=url
    )
    async with open_node(own) as running:
        yield running


@pytest.fixture
async def cast(node: RunningNode) -> Cast:
    return await assemble(node.market)


async def test_watchers_of_a_product_begin_with_its_prices_and_what_is_left(
    node: RunningNode, cast: Cast
) -> None:
    topic = product_topic(ProductId(UUID(cast.ids["product"])))
    watcher = Watching(cast.people["buyer"].user)
    subscription = await node.node.subscribe(topic, watcher, None)
    state = msgspec.to_builtins(subscription.state)
    # One was bought, one is held by an order that is not paid.
    assert state == {
        "variants": [{"variant": cast.ids["variant"], "price_minor": 1_000, "available": 298}]
    }


async def test_a_shops_team_begins_with_the_orders_that_are_under_way(
    node: RunningNode, cast: Cast
) -> None:
    topic = shop_topic(ShopId(UUID(cast.ids["shop"])))
    subscription = await node.node.subscribe(topic, Watching(cast.people["owner"].user), None)
    assert msgspec.to_builtins(subscription.state) == {
        "orders": [
            {"status": "pending_payment", "count": 1},
            {"status": "paid", "count": 1},
            {"status": "delivered", "count": 1},
        ]
    }


async def test_operators_begin_with_the_queues_and_hear_of_each_nodes_traffic(
    node: RunningNode, cast: Cast
) -> None:
    watcher = Watching(cast.people["support"].user)
    subscription = await node.node.subscribe(OPS, watcher, None)
    [dead] = [
        job for job in msgspec.to_builtins(subscription.state)["jobs"] if job["kind"] == "test.cast"
    ]
    assert dead["dead"] == 1
    await eventually(lambda: len(watcher.of("traffic")) > 0, within_s=EVERY_S + 15)
    traffic = watcher.of("traffic")[0]
    assert (traffic["topic"], traffic["actors"], traffic["watchers"]) == ("ops", 1, 1)
