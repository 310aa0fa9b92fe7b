"""One node may serve a part: the rest is another node's business, behind path routing."""

from __future__ import annotations

import aiohttp
import msgspec
import pytest

from feira.app import open_node
from feira.platform.runtime.config import Config, ServiceName


@pytest.mark.parametrize(
    ("services", "served", "elsewhere"),
    [
        (("messaging", "orders"), ["/v1/conversations", "/v1/orders"], ["/v1/search", "/v1/me"]),
        (("products",), ["/v1/search", "/v1/categories"], ["/v1/orders", "/sandbox/pay/pi_x"]),
    ],
)
async def test_a_node_serves_only_its_services(
    node_config: Config, services: tuple[ServiceName, ...], served: list[str], elsewhere: list[str]
) -> None:
    config = msgspec.structs.replace(node_config, services=services)
    async with open_node(config), aiohttp.ClientSession(config.public_url) as http:
        for path in served:
            async with http.get(path) as answer:
                # Somebody is at home, if only to ask who is calling.
                assert answer.status in {200, 401}, path
        for path in elsewhere:
            async with http.get(path) as answer:
                assert answer.status == 404, path
                code = (await answer.json())["code"]
                assert code in {"route.not_served_here", "route.not_found"}, path
        async with http.get("/version") as answer:
            assert (await answer.json())["services"] == list(services)
