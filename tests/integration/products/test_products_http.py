"""The catalogue over HTTP: a seller's day, from a draft to a buyer's search."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from aiohttp import ClientSession

from feira.app import Ground, RunningNode
from feira.platform.domain.permissions import Principal
from feira.platform.runtime.config import Config
from tests.integration.products.goods import Goods, Shop, eventually
from tests.integration.products.test_media import PNG, working

Answer = tuple[int, Any]


@pytest.fixture
def config(config: Config, fresh_database_dsn: str) -> Config:
    """A database of its own: see test_media.py."""
    return msgspec.structs.replace(config, postgres_dsn=fresh_database_dsn)


class Client:
    """Somebody's HTTP client; nobody's without a principal."""

    def __init__(self, node: RunningNode, http: ClientSession, principal: Principal | None) -> None:
        self._node = node
        self._http = http
        self.principal = principal

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        csv: bytes | None = None,
        key: str = "",
    ) -> Answer:
        headers: dict[str, str] = {}
        if self.principal is not None:
            token, _ = self._node.market.tokens.issue(
                self.principal.user_id, self.principal.session_id, datetime.now(UTC)
            )
            headers["Authorization"] = f"Bearer {token}"
        if key:
            headers["Idempotency-Key"] = key
        if csv is not None:
            headers["Content-Type"] = "text/csv"
        async with self._http.request(
            method,
            f"http://127.0.0.1:{self._node.port}{path}",
            json=body,
            data=None if csv is None else io.BytesIO(csv),
            headers=headers,
        ) as answer:
            return answer.status, await answer.json(
                content_type=None
            ) if answer.status != 204 else None


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
async def shop(goods: Goods) -> Shop:
    return await goods.shop()


@pytest.fixture
def seller(node: RunningNode, http: ClientSession, shop: Shop) -> Client:
    return Client(node, http, shop.owner)


@pytest.fixture
def visitor(node: RunningNode, http: ClientSession) -> Client:
    return Client(node, http, None)


def vase(sku: str = "VASE") -> dict[str, object]:
    return {
        "title": "Ceramic vase",
        "category": "ceramics",
        "variants": [{"sku": sku, "price_minor": 1_999, "on_hand": 2}],
    }


async def test_a_product_goes_from_draft_to_search_and_out_again(
    goods: Goods, ground: Ground, shop: Shop, seller: Client, visitor: Client
) -> None:
    assert goods
    status, draft = await seller.send("POST", f"/v1/shops/{shop.id}/products", vase())
    assert (status, draft["status"], draft["version"]) == (201, "draft", 1)
    path = f"/v1/products/{draft['id']}"
    status, problem = await visitor.send("GET", path)
    assert (status, problem["code"]) == (404, "product.not_found")
    status, problem = await seller.send("POST", f"{path}/publish", {"version": 9})
    assert (status, problem["code"]) == (409, "product.stale_version")
    assert problem["details"] == {"version": 1}
    status, _ = await seller.send("POST", f"{path}/publish", {"version": 1})
    assert status == 200
    status, seen = await visitor.send("GET", path)
    assert (status, seen["variants"][0]["on_hand"]) == (200, None)

    async def search() -> list[Any]:
        _, found = await visitor.send("GET", f"/v1/search?q=vaze&shop={shop.id}&in_stock=true")
        return found["items"]

    async def is_found() -> bool:
        return len(await search()) == 1

    async def is_gone() -> bool:
        return await search() == []

    async with working(ground):
        await eventually(is_found)
        variant = seen["variants"][0]["id"]
        status, stock = await seller.send("PUT", f"/v1/variants/{variant}/stock", {"adjust": -2})
        assert (status, stock["available"]) == (200, 0)
        await eventually(is_gone)
        status, _ = await seller.send("POST", f"{path}/archive", {"version": 2})
        assert status == 200
    assert (await visitor.send("GET", path))[0] == 404


async def test_an_image_is_announced_uploaded_confirmed_and_deleted(
    goods: Goods, ground: Ground, shop: Shop, seller: Client
) -> None:
    draft = await goods.draft(shop)
    status, announced = await seller.send(
        "POST", f"/v1/products/{draft.id}/media", {"content_type": "image/png"}
    )
    assert status == 201
    from feira.platform.gateways.storage.port import PresignedUpload
    from tests.integration.products.test_media import checked, post

    upload = PresignedUpload(**announced["upload"])
    assert await post(upload, PNG) == 204
    media = announced["media"]["id"]
    async with working(ground):
        status, confirmed = await seller.send("POST", f"/v1/media/{media}/uploaded")
        assert (status, confirmed["state"]) == (202, "checking")
        assert (await checked(goods, shop, draft)).state == "ready"
    assert await seller.send("DELETE", f"/v1/media/{media}") == (204, None)
    assert (await goods.read(draft.id, shop.owner)).media == []
    status, problem = await seller.send(
        "POST", f"/v1/products/{draft.id}/media", {"content_type": "image/svg+xml"}
    )
    assert (status, problem["field"]) == (400, "$.content_type")


async def test_a_list_sent_twice_with_one_key_is_taken_once(
    goods: Goods, shop: Shop, seller: Client
) -> None:
    path = f"/v1/shops/{shop.id}/products/import"
    csv = b"sku,title,category,price,stock\nA,Thing,books,1.50,10\nB,,books,1,1\n"
    key = uuid4().hex
    first = await seller.send("POST", path, csv=csv, key=key)
    assert first[0] == 200
    assert (first[1]["created"], first[1]["errors"][0]["row"]) == (1, 3)
    async with goods.market.database.connection() as con:
        variant = await con.fetchval("SELECT id FROM variants WHERE shop_id = $1", shop.id)
    await seller.send("PUT", f"/v1/variants/{variant}/stock", {"adjust": -4})
    assert await seller.send("POST", path, csv=csv, key=key) == first
    # A repeat that ran again would have set stock back to ten.
    assert await goods.stock(variant) == (6, 0)
    status, problem = await seller.send("POST", path, {"sku": "A"})
    assert (status, problem["code"]) == (415, "request.not_csv")
    status, _ = await seller.send("POST", path, csv=b"x" * (1024 * 1024 + 1))
    assert status == 413


async def test_categories_are_a_tree(visitor: Client) -> None:
    status, found = await visitor.send("GET", "/v1/categories")
    assert status == 200
    seen: set[str] = set()
    for category in found["items"]:
        assert category["parent"] is None or category["parent"] in seen
        assert category["depth"] == (0 if category["parent"] is None else 1)
        seen.add(category["slug"])
    assert len(seen) >= 12


async def test_lists_are_public_without_a_status_and_the_teams_with_one(
    goods: Goods,
    shop: Shop,
    seller: Client,
    visitor: Client,
    node: RunningNode,
    http: ClientSession,
) -> None:
    product, draft = await goods.product(shop), await goods.draft(shop)
    path = f"/v1/shops/{shop.id}/products"
    _, public = await visitor.send("GET", path)
    assert [item["id"] for item in public["items"]] == [str(product.id)]
    _, team = await seller.send("GET", f"{path}?status=all&limit=1")
    assert [item["id"] for item in team["items"]] == [str(draft.id)]
    _, rest = await seller.send("GET", f"{path}?status=all&limit=1&cursor={team['next_cursor']}")
    assert [item["id"] for item in rest["items"]] == [str(product.id)]
    assert rest["next_cursor"] is None
    assert (await visitor.send("GET", f"{path}?status=all"))[0] == 401
    stranger = Client(node, http, await goods.person())
    assert (await stranger.send("GET", f"{path}?status=all"))[0] == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("q=" + "v" * 10_000, None),
        ("q=%00", None),
        ("price_min=-1", "$.price_min"),
        ("price_max=ten", "$.price_max"),
        ("price_max=99999999999999999999", "$.price_max"),
        ("limit=0", "$.limit"),
        ("limit=101", "$.limit"),
        ("sort=best", "$.sort"),
        ("in_stock=maybe", "$.in_stock"),
        ("shop=1", "$.shop"),
        ("category=%27%3B--", "$.category"),
        ("cursor=garbage", "$.cursor"),
        ("cursor=%00", None),
        ("unknown=1", None),
        ("q=a&q=b", "$.q"),
        ("q=%ff%fe", "ignored"),
    ],
)
async def test_bad_parameters_of_a_search_are_named(
    visitor: Client, query: str, field: str | None
) -> None:
    status, answer = await visitor.send("GET", f"/v1/search?{query}")
    if field == "ignored":
        assert status in {200, 400}
        return
    assert status == 400, answer
    if field is not None:
        assert answer["field"] == field


@pytest.mark.parametrize(
    "change",
    [
        {"title": ""},
        {"title": " \n "},
        {"title": "bell\u0007"},
        {"title": "x" * 201},
        {"variants": [{"sku": "bad sku", "price_minor": 1}]},
        {"variants": [{"sku": "A", "price_minor": 0}]},
        {"variants": [{"sku": "A", "price_minor": 1.5}]},
        {"variants": [{"sku": "A", "price_minor": 10**15}]},
        {"variants": [{"sku": "A", "price_minor": 1, "options": {"": "x"}}]},
        {
            "variants": [
                {"sku": f"A{n}", "price_minor": 1, "options": {"n": str(n)}} for n in range(101)
            ]
        },
        {"category": "nowhere"},
        {"unknown": 1},
    ],
)
async def test_bad_drafts_are_refused(shop: Shop, seller: Client, change: dict[str, Any]) -> None:
    status, answer = await seller.send(
        "POST", f"/v1/shops/{shop.id}/products", {**vase(), **change}
    )
    assert status == 400, answer


async def test_a_draft_sent_many_times_with_one_key_is_one(
    goods: Goods, shop: Shop, seller: Client
) -> None:
    key = uuid4().hex
    path = f"/v1/shops/{shop.id}/products"
    answers = await asyncio.gather(*(seller.send("POST", path, vase(), key=key) for _ in range(5)))
    ids = {answer["id"] for status, answer in answers if status == 201}
    assert len(ids) == 1
    async with goods.market.database.connection() as con:
        assert await con.fetchval("SELECT count(*) FROM products WHERE shop_id = $1", shop.id) == 1
